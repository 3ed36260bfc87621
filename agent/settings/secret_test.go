package settings

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

const hunter = "hunter2"

func TestSecret_NeverPrints(t *testing.T) {
	s := Defaults()
	s.Stores.RedisPassword = NewSecret(hunter)
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x"} {
		fmt.Fprintf(&out, verb+verb+verb, s, s.Stores, s.Stores.RedisPassword)
	}
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(text)
	for _, log := range []*slog.Logger{slog.New(slog.NewTextHandler(&out, nil)), slog.New(slog.NewJSONHandler(&out, nil))} {
		log.Info("agent starts", "settings", s, "stores", s.Stores, "password", s.Stores.RedisPassword)
	}
	if strings.Contains(out.String(), hunter) || strings.Contains(out.String(), fmt.Sprintf("%x", hunter)) {
		t.Errorf("the password shows:\n%s", out.String())
	}
	if !strings.Contains(out.String(), "settings.redis-password=***") {
		t.Errorf("the log does not say that there is a password:\n%s", out.String())
	}
	if s.Stores.RedisPassword.Reveal() != hunter {
		t.Error("the password is lost")
	}
}

func TestLoad_PasswordsAreNotTakenFromURLsFlagsOrTheFile(t *testing.T) {
	for _, args := range [][]string{
		{"--redis=redis://:hunter2@cache:6379"}, {"--redis=redis://user:hunter2@cache"},
		{"--redis=rediss://cache?password=hunter2"}, {"--redis=http://:hunter2@cache"},
		{"--redis=redis://:hunter2@cache:%zz"}, {"--redis-password=hunter2"},
		{"--bucket=s3://key:hunter2@bucket"}, {"--bucket=minio://:hunter2@%zz"}, {"--bucket=sftp://h?secret=hunter2"},
	} {
		_, err := load(t, args, nil, "")
		if err == nil {
			t.Errorf("%v is taken", args)
			continue
		}
		if strings.Contains(err.Error(), hunter) {
			t.Errorf("%v: the error shows the password: %v", args, err)
		}
	}
	_, err := load(t, []string{"--redis=redis://user:hunter2@cache"}, nil, "")
	wantProblems(t, err, "--redis: redis://***@cache holds a password; give it by ODRADEK_REDIS_PASSWORD or --redis-password-file")
}

func TestLoad_ThePasswordComesFromTheEnvironmentOrAFile(t *testing.T) {
	s, err := load(t, []string{"--redis=redis://user@cache"}, []string{"ODRADEK_REDIS_PASSWORD=hunter2"}, "")
	if err != nil || s.Stores.RedisPassword.Reveal() != hunter {
		t.Errorf("from the environment: %v", err)
	}
	file := t.TempDir() + "/password"
	write(t, file, hunter+"\n")
	s, err = load(t, []string{"--redis-password-file=" + file}, nil, "")
	if err != nil || s.Stores.RedisPassword.Reveal() != hunter {
		t.Errorf("from the file: %v", err)
	}
	_, err = load(t, []string{"--redis-password-file=" + file}, []string{"ODRADEK_REDIS_PASSWORD=x"}, "")
	wantProblems(t, err, "--redis-password-file: the password is also in ODRADEK_REDIS_PASSWORD; keep one of the two")
	write(t, file, "\n")
	_, err = load(t, nil, []string{"ODRADEK_REDIS_PASSWORD_FILE=" + file}, "")
	wantProblems(t, err, "ODRADEK_REDIS_PASSWORD_FILE: "+file+" is empty")
	write(t, file, strings.Repeat("x", 5000))
	_, err = load(t, []string{"--redis-password-file=" + file}, nil, "")
	wantProblems(t, err, "--redis-password-file: "+file+" is larger than 4KiB")
}
