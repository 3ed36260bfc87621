package main

import (
	"bytes"
	"encoding/json"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/odradek/odradek/test/servers"
)

// runOn runs a command line in this process.
func runOn(t *testing.T, args ...string) (out string, status int) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	status = run(t.Context(), world{args: args, in: strings.NewReader(""), out: &stdout, err: &stderr})
	return stdout.String() + stderr.String(), status
}

// examined runs doctor and gives its findings.
func examined(t *testing.T, args ...string) (diagnosis, int) {
	t.Helper()
	var out, errs bytes.Buffer
	status := run(t.Context(), world{args: append([]string{"doctor", "--json"}, args...), in: strings.NewReader(""), out: &out, err: &errs})
	var d diagnosis
	if err := json.Unmarshal(out.Bytes(), &d); err != nil {
		t.Fatalf("%v: %s%s", err, out.String(), errs.String())
	}
	return d, status
}

// says reports whether there is a finding of a level and part that holds a text. Whatever is not fine names its fix.
func (d diagnosis) says(t *testing.T, level, part, text string) {
	t.Helper()
	for _, f := range d.Findings {
		if (f.Level == fine) != (f.Fix == "") {
			t.Errorf("finding %+v: its fix", f)
		}
	}
	for _, f := range d.Findings {
		if f.Level == level && f.Part == part && strings.Contains(f.What, text) {
			return
		}
	}
	t.Errorf("no finding %s %s %q in %+v", level, part, text, d.Findings)
}

func TestDoctor_ADirectoryAndNoRedisAreFine(t *testing.T) {
	d, status := examined(t, "--data-dir", t.TempDir(), "--listen", "127.0.0.1:0")
	if status != exitOK || d.count(wrong) > 0 {
		t.Errorf("status %d, findings %+v", status, d.Findings)
	}
	d.says(t, fine, "bucket", "of 16 creators of one key one wins")
	d.says(t, fine, "bucket", "the bucket's clock agrees")
	d.says(t, fine, "cluster", "no cluster here yet")
	d.says(t, fine, "redis", "none")
	d.says(t, fine, "listener", "this machine can")
}

func TestDoctor_ARedisThatEvictsIsBad(t *testing.T) {
	redis := servers.OwnRedis(t, "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")
	d, status := examined(t, "--data-dir", t.TempDir(), "--listen", "127.0.0.1:0", "--redis", redis.URL())
	if status != exitError {
		t.Errorf("status %d", status)
	}
	d.says(t, wrong, "redis", "evicts")
	d.says(t, fine, "redis", "version 7")
	d.says(t, worse, "settings", "listen on 127.0.0.1:0 only")
}

func TestDoctor_WhatIsNotThereIsBad(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := l.Addr().String()
	l.Close()
	d, status := examined(t, "--data-dir", t.TempDir(), "--listen", "127.0.0.1:0", "--advertise", nobody,
		"--redis", "redis://"+nobody, "--bucket", "minio://"+nobody+"/bucket?secure=false")
	if status != exitError {
		t.Errorf("status %d", status)
	}
	d.says(t, wrong, "bucket", "connection refused")
	d.says(t, wrong, "redis", "connection refused")
	d.says(t, wrong, "listener", "which this machine cannot")
}

func TestDoctor_ADirectoryThatCannotBeWrittenIsBad(t *testing.T) {
	d, status := examined(t, "--data-dir", filepath.Join("/dev/null", "data"), "--bucket", "memory://", "--listen", "127.0.0.1:0")
	if status != exitError {
		t.Errorf("status %d", status)
	}
	d.says(t, wrong, "disk", "/dev/null")
	d.says(t, worse, "settings", "all records go with it")
}

func TestDoctor_SeveralAgentsAndAnIndexInMemoryDoNotGoTogether(t *testing.T) {
	b := poolBucket(t)
	d, status := examined(t, "--data-dir", t.TempDir(), "--bucket", b.url, "--listen", "127.0.0.1:0", "--node-id", "2")
	if status != exitError {
		t.Errorf("status %d", status)
	}
	d.says(t, wrong, "cluster", "3 agents have open journals")
}

func TestDoctor_PrintsTheFixBelowAFinding(t *testing.T) {
	out, status := runOn(t, "doctor", "--data-dir", t.TempDir(), "--listen", "127.0.0.1:0", "--advertise", "127.0.0.1:1")
	if status != exitError || !strings.Contains(out, "bad   listener  clients are told to connect to 127.0.0.1:1 (--advertise)") ||
		!strings.Contains(out, "fix: set --advertise to an address that leads here") || !strings.Contains(out, "odradek: 1 thing to mend") {
		t.Errorf("status %d:\n%s", status, out)
	}
}
