package main

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/odradek/odradek/agent/ops"
	"github.com/odradek/odradek/agent/settings"
)

// unpack gives the files of a bundle.
func unpack(t *testing.T, path string) map[string]string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	zipped, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	files := make(map[string]string)
	for archive := tar.NewReader(zipped); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		files[strings.TrimPrefix(header.Name, "odradek-debug/")] = string(data)
	}
}

func TestDebugBundle_HoldsWhatTheAgentKnowsAndNoSecret(t *testing.T) {
	dir := t.TempDir()
	b := poolBucket(t)
	s := settings.Defaults()
	s.Stores.RedisPassword = settings.NewSecret("hunter2")
	var last ops.Last
	log := ops.NewLog(io.Discard, settings.Log{Level: slog.LevelInfo, Format: "json"}, &last)
	log.Warn("bucket away", "tries", 3)
	log.Info("nothing of note")
	l, err := ops.ListenDebug(dir)
	if err != nil {
		t.Fatal(err)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(prometheus.NewGauge(prometheus.GaugeOpts{Name: "some_metric", Help: "."}))
	server := ops.NewDebugServer(l, ops.Debug{
		Config:  ops.Config{Ready: func() []string { return []string{"waiting for the bucket"} }, Metrics: registry, Log: slog.New(slog.DiscardHandler)},
		Version: "1.2.3", Settings: s.Lines(), Last: &last,
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	defer func() { cancel(); <-ended }()

	path := filepath.Join(dir, "bundle.tar.gz")
	w := world{args: []string{"debug", "bundle", "--data-dir", dir, "--bucket", b.url, "--out", path}, environ: []string{"ODRADEK_REDIS_PASSWORD=hunter2"}}
	var out strings.Builder
	w.in, w.out, w.err = strings.NewReader(""), &out, &out
	if status := run(t.Context(), w); status != exitOK {
		t.Fatal(out.String())
	}
	files := unpack(t, path)
	for name, want := range map[string]string{
		"command.txt": "odradek dev", "version.txt": "1.2.3\n", "settings.txt": "redis-password=***\n", "ready.txt": "waiting for the bucket",
		"errors.txt": `msg="bucket away" tries=3`, "goroutines.txt": "goroutine ", "metrics.txt": "some_metric 0", "control.txt": `TOPIC_CREATE "shoes"`,
	} {
		if !strings.Contains(files[name], want) {
			t.Errorf("%s: no %q in %.300q", name, want, files[name])
		}
	}
	for name, text := range files {
		if strings.Contains(text, "hunter2") {
			t.Errorf("%s holds a secret", name)
		}
		if name == "errors.txt" && strings.Contains(text, "nothing of note") {
			t.Error("errors.txt holds what is none")
		}
	}
	if _, there := files["problems.txt"]; there {
		t.Errorf("problems: %s", files["problems.txt"])
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if info, err := os.Stat(filepath.Join(dir, ops.Socket)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("socket: mode %v, %v", info.Mode(), err)
	}
}

func TestDebugBundle_WithoutAnAgentSaysWhatIsMissing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "bundle.tar.gz")
	out, status := runOn(t, "debug", "bundle", "--data-dir", dir, "--bucket", poolBucket(t).url, "--out", path)
	if status != exitOK || !strings.Contains(out, "note: goroutines.txt: ") {
		t.Errorf("status %d: %s", status, out)
	}
	files := unpack(t, path)
	if !strings.Contains(files["problems.txt"], "metrics.txt: ") || !strings.Contains(files["control.txt"], "TOPIC_CREATE") {
		t.Errorf("files %v", files)
	}
	if out, status := runOn(t, "debug", "bundle", "--data-dir", dir, "--out", path); status != exitError || !strings.Contains(out, "exists") {
		t.Errorf("a file that is there: status %d: %s", status, out)
	}
}

func TestListenDebug_ADeadSocketIsTakenOver(t *testing.T) {
	dir := t.TempDir()
	first, err := ops.ListenDebug(dir)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			c, err := first.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	if l, err := ops.ListenDebug(dir); err == nil {
		l.Close()
		t.Error("two listen on one socket")
	}
	first.(interface{ SetUnlinkOnClose(bool) }).SetUnlinkOnClose(false) // as a process that was killed leaves it
	first.Close()
	l, err := ops.ListenDebug(dir)
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
}
