package hardening

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/odradek/odradek/test/harness"
	"github.com/odradek/odradek/test/servers"
)

// TestStart_WhatAPersonMustMendIsSaidInOneLine: the agent ends with status 1 or 2 and says what is wrong, once.
func TestStart_WhatAPersonMustMendIsSaidInOneLine(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	file := filepath.Join(harness.TempDir(t), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	secret := servers.Redis(t)
	configure(t, secret.Addr, "requirepass", "right")
	forgetful := servers.Redis(t)
	configure(t, forgetful.Addr, "maxmemory-policy", "allkeys-lru", "maxmemory", "100mb")
	minio := servers.SharedMinIO(t)
	for _, c := range []struct {
		name  string
		env   []string
		flags []string // later ones win over those of every case
		says  []string
	}{
		{name: "port in use", flags: []string{"--listen", taken.Addr().String()}, says: []string{taken.Addr().String(), "address already in use"}},
		{name: "http port in use", flags: []string{"--http", taken.Addr().String()}, says: []string{taken.Addr().String(), "address already in use"}},
		{name: "data-dir is a file", flags: []string{"--data-dir", file}, says: []string{file, "not a directory"}},
		{name: "data-dir below a file", flags: []string{"--data-dir", filepath.Join(file, "x")}, says: []string{file, "not a directory"}},
		{name: "data-dir on a file system of the kernel", flags: []string{"--data-dir", "/proc/odradek"}, says: []string{"/proc/odradek"}},
		{name: "bucket directory on a file system of the kernel", flags: []string{"--bucket", "file:///proc/odradek"}, says: []string{"/proc/odradek"}},
		{name: "bucket of no scheme", flags: []string{"--bucket", "records"}, says: []string{"bucket", "records"}},
		{name: "bucket of unknown scheme", flags: []string{"--bucket", "gs://records"}, says: []string{"gs"}},
		{name: "secret in a bucket URL", flags: []string{"--bucket", "s3://key:hunter2@records"}, says: []string{"bucket"}},
		{name: "secret in a Redis URL", flags: []string{"--redis", "redis://:hunter2@127.0.0.1:1"}, says: []string{"ODRADEK_REDIS_PASSWORD"}},
		{name: "least memory", flags: []string{"--memory", "1MiB"}, says: []string{"memory", "64MiB"}},
		{name: "wrong Redis password", env: []string{"ODRADEK_REDIS_PASSWORD=wrong"}, flags: []string{"--redis", "redis://" + secret.Addr, "--bucket", minio.MinioURL("a")}, says: []string{"redis", "WRONGPASS"}},
		{name: "no Redis password", flags: []string{"--redis", "redis://" + secret.Addr, "--bucket", minio.MinioURL("b")}, says: []string{"redis", "NOAUTH"}},
		{name: "Redis that evicts", flags: []string{"--redis", "redis://" + forgetful.Addr, "--bucket", minio.MinioURL("c")}, says: []string{"noeviction"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := harness.New(t, harness.Options{Env: append(minio.Env(), c.env...), Flags: c.flags})
			a.Launch()
			took := a.WaitExit(30 * time.Second)
			if s := a.ExitStatus(); s != 1 && s != 2 {
				t.Errorf("status %d", s)
			}
			last := lastLine(a.LifeLog())
			for _, want := range c.says {
				if !strings.Contains(last, want) {
					t.Errorf("the last line does not say %q: %s", want, last)
				}
			}
			if strings.Contains(a.Log(), "hunter2") {
				t.Error("the secret is in the log")
			}
			t.Logf("after %v: %s", took.Round(time.Millisecond), last)
		})
	}
}

// configure changes settings of a Redis: names and values in turn.
func configure(t *testing.T, addr string, settings ...string) {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	args := append([]string{"-h", host, "-p", port, "config", "set"}, settings...)
	if out, err := exec.Command("redis-cli", args...).CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != "OK" {
		t.Fatalf("redis-cli: %v: %s", err, out)
	}
}

func lastLine(log string) string {
	lines := strings.Split(strings.TrimSpace(log), "\n")
	return lines[len(lines)-1]
}

// TestStart_BucketThatIsWrongIsWaitedForAndSaid: what may mend itself is tried again; /readyz and the log say what is the
// matter, and SIGTERM ends the waiting.
func TestStart_BucketThatIsWrongIsWaitedForAndSaid(t *testing.T) {
	minio := servers.SharedMinIO(t)
	for _, c := range []struct {
		name, bucket string
		env          []string
		says         string
	}{
		{"no credentials", minio.MinioURL("x"), []string{"AWS_EC2_METADATA_DISABLED=true", "HOME=/nonexistent"}, "bucket cannot be used yet"},
		{"wrong credentials", minio.URL("x"), []string{"AWS_ACCESS_KEY_ID=odradek-test", "AWS_SECRET_ACCESS_KEY=wrong-wrong", "AWS_REGION=us-east-1"}, "bucket cannot be used yet"},
		{"no such bucket", strings.Replace(minio.URL("x"), minio.Bucket, "no-such-bucket", 1), minio.Env(), "bucket cannot be used yet"},
		{"nobody listens", "minio://127.0.0.1:1/bucket?secure=false", minio.Env(), "bucket cannot be used yet"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := harness.New(t, harness.Options{Bucket: c.bucket, Env: c.env})
			a.Launch()
			a.WaitHTTP()
			a.Wait(20*time.Second, c.says, func() bool { return !a.Running() || len(a.LogLines(c.says)) > 0 })
			if !a.Running() {
				t.Fatalf("ended with status %d: %s", a.ExitStatus(), lastLine(a.LifeLog()))
			}
			t.Logf("%s", a.LogLines(c.says)[0])
			if a.Ready() {
				t.Error("ready without a bucket")
			}
			if took := a.Stop(); took > 5*time.Second {
				t.Errorf("stopping took %v", took)
			}
		})
	}
}

// TestStop_APauseHurtsNobody: an agent that stood still for three seconds goes on as if nothing had been.
func TestStop_APauseHurtsNobody(t *testing.T) {
	redis := servers.SharedRedis(t)
	minio := servers.SharedMinIO(t)
	a := harness.Start(t, harness.Options{Redis: redis.URL(), Bucket: minio.URL("pause"), Env: minio.Env(), Flags: []string{"--cluster", "pause-" + strings.ToLower(minio.Bucket[8:])}})
	b := stand(t, a)
	for range either(1, 5) {
		time.Sleep(time.Second)
		a.Signal(syscall.SIGSTOP)
		time.Sleep(3 * time.Second)
		a.Signal(syscall.SIGCONT)
		time.Sleep(time.Second)
	}
	b.content()
	unhurt(t, a)
}
