package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/odradek/odradek/agent/settings"
)

// outcome is what a run of the program leaves behind.
type outcome struct {
	status   int
	out, err string
}

// odradek runs the program with a command line and nothing else.
func odradek(t *testing.T, args ...string) outcome {
	t.Helper()
	return odradekIn(t, world{args: args})
}

func odradekIn(t *testing.T, w world) outcome {
	t.Helper()
	var out, err bytes.Buffer
	w.in, w.out, w.err = strings.NewReader(""), &out, &err
	if w.args == nil {
		w.args = []string{}
	}
	status := run(context.Background(), w)
	return outcome{status, out.String(), err.String()}
}

// wantUsage expects exit status 2, nothing on standard output and these lines on standard error.
func wantUsage(t *testing.T, got outcome, lines ...string) {
	t.Helper()
	want := outcome{status: exitUsage}
	for _, line := range lines {
		want.err += "odradek: " + line + "\n"
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(outcome{})); diff != "" {
		t.Errorf("outcome (-want +got):\n%s", diff)
	}
}

func TestRun_UsageErrorsAreOneLineAndStatus2(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"topc", "topc: unknown command; did you mean topic?"},
		{"frobnicate", "frobnicate: unknown command"},
		{"topic crate", "topic crate: unknown command; did you mean create?"},
		{"topic create", "topic create: NAME is missing"},
		{"topic create a b", `topic create: unexpected argument "b"`},
		{"topic create a --partitons 3", "--partitons: unknown flag; did you mean --partitions?"},
		{"topic create a --partitions 0", "--partitions: 0 is no number of partitions"},
		{"consume", "consume: TOPIC is missing"},
		{"consume t --from middle", "--from: middle is none of start, end"},
		{"consume t --group g --partition 1", "--partition: a group's partitions are given out by the group; leave one of the two"},
		{"consume t -n -1", "-n: -1 is no number of records"},
		{"produce t --acks 2", "--acks: 2 is none of all, 1, 0"},
		{"topic list --bootstrap ,", "--bootstrap: no broker named"},
		{"agent now", `agent: unexpected argument "now"; settings are flags`},
	} {
		wantUsage(t, odradek(t, strings.Fields(c.args)...), c.want)
	}
}

func TestRun_AllProblemsOfACommandLineAreToldAtOnce(t *testing.T) {
	wantUsage(t, odradek(t, "topic", "create", "a", "--config", "x", "--config", "=y"),
		"--config: x is no NAME=VALUE", "--config: =y is no NAME=VALUE")
	wantUsage(t, odradek(t, "produce", "t", "--acks=2", "--compression=br", "--partition=-2"),
		"--acks: 2 is none of all, 1, 0", "--compression: br is none of none, gzip, snappy, lz4, zstd",
		"--partition: -2 is no partition")
}

func TestAgent_SettingsProblemsAreToldAtOnceWithoutSecrets(t *testing.T) {
	got := odradekIn(t, world{
		args: []string{
			"agent", "--redis-passwort", "hunter2", "--memori=1", "--redis", "redis://:hunter2@cache", "--wal-size", "x",
		},
		environ: []string{"ODRADEK_LISTN=:1"},
	})
	wantUsage(t, got,
		"--redis-passwort: unknown flag; secrets are not taken from the command line, use ODRADEK_REDIS_PASSWORD or --redis-password-file",
		"--memori: unknown flag; did you mean --memory?",
		"ODRADEK_LISTN: unknown variable; did you mean ODRADEK_LISTEN?",
		"--redis: redis://***@cache holds a password; give it by ODRADEK_REDIS_PASSWORD or --redis-password-file",
		"--wal-size: x is no size; write bytes or a number with a unit, as 8MiB or 64KB",
	)
}

func TestAgent_RunsWithTheSettingsOfFlagsAndEnvironment(t *testing.T) {
	var ran settings.Settings
	replace(t, func(_ context.Context, s settings.Settings, _ io.Writer) error { ran = s; return nil })
	got := odradekIn(t, world{args: []string{"agent", "--pprof", "--set", "num.partitions=2"}, environ: []string{"ODRADEK_ZONE=a"}})
	if got.status != exitOK || !ran.Network.Pprof || ran.Zone != "a" || ran.Kafka["num.partitions"] != "2" {
		t.Errorf("status %d %s, ran with %+v", got.status, got.err, ran)
	}
}

func TestAgent_AnErrorIsTheLastLineAndStatus1(t *testing.T) {
	replace(t, func(context.Context, settings.Settings, io.Writer) error { return errors.New("bucket: away") })
	if got := odradek(t, "agent"); got.status != exitError || !strings.HasSuffix(got.err, "\nodradek: bucket: away\n") {
		t.Errorf("got %+v", got)
	}
}

// replace puts another agent in the place of the real one for the length of a test.
func replace(t *testing.T, with func(context.Context, settings.Settings, io.Writer) error) {
	t.Helper()
	before := runAgent
	log := slog.Default()
	t.Cleanup(func() { runAgent = before; slog.SetDefault(log) })
	runAgent = with
}

func TestVersion_NamesTheBuild(t *testing.T) {
	if got := odradek(t, "version"); got.status != exitOK || !strings.HasPrefix(got.out, "odradek dev ") {
		t.Errorf("got %+v", got)
	}
}

func TestRun_HelpNamesEveryCommand(t *testing.T) {
	got := odradek(t)
	for _, name := range []string{"agent", "topic", "produce", "consume", "group", "version"} {
		if got.status != exitOK || !strings.Contains(got.out, "\n  "+name+" ") {
			t.Errorf("no %s in:\n%s", name, got.out)
		}
	}
}
