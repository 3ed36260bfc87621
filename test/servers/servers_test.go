package servers

import (
	"bufio"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
)

func TestMain(m *testing.M) { os.Exit(Main(m)) }

func TestRedis_KillAndRestart(t *testing.T) {
	r := OwnRedis(t, "--appendonly", "yes", "--appendfsync", "always")
	if got := say(t, r.Addr, "SET k v"); got != "+OK" {
		t.Fatalf("SET: %q", got)
	}
	pid := r.Pid()
	r.Kill()
	if err := syscall.Kill(pid, 0); err != syscall.ESRCH {
		t.Fatalf("killed redis %d: %v, want no such process", pid, err)
	}
	if r.Pid() != 0 {
		t.Fatalf("pid of a dead server is %d", r.Pid())
	}
	if c, err := net.Dial("tcp", r.Addr); err == nil {
		c.Close()
		t.Fatal("a killed redis still listens")
	}
	r.Restart()
	if r.Pid() == pid || r.Pid() == 0 {
		t.Fatalf("pid after restart is %d, before it was %d", r.Pid(), pid)
	}
	if got := say(t, r.Addr, "GET k"); got != "$1" {
		t.Fatalf("GET after restart: %q, want the value kept by the append-only file", got)
	}
}

func TestRedis_SharedIsOne(t *testing.T) {
	if os.Getenv("ODRADEK_TEST_REDIS") != "" {
		t.Log("server of the environment")
	}
	if a, b := SharedRedis(t), SharedRedis(t); a.Addr != b.Addr {
		t.Fatalf("shared redis at %s and %s", a.Addr, b.Addr)
	}
}

func TestS3_ServersGiveBuckets(t *testing.T) {
	for name, open := range map[string]func(testing.TB) *S3Server{"minio": SharedMinIO, "versitygw": SharedVersityGW} {
		t.Run(name, func(t *testing.T) {
			a, b := open(t), open(t)
			if a.Endpoint != b.Endpoint || a.Bucket == b.Bucket {
				t.Fatalf("shared server gave %s/%s and %s/%s; want one endpoint, two buckets", a.Endpoint, a.Bucket, b.Endpoint, b.Bucket)
			}
		})
	}
}

func TestLookup_MissingSaysWhatToType(t *testing.T) {
	_, err := lookup("odradek-no-such-server")
	if err == nil || !strings.Contains(err.Error(), "make deps") || strings.Contains(err.Error(), "\n") {
		t.Fatalf("missing binary: %v, want one line that names `make deps`", err)
	}
}

// say sends one inline command to Redis and returns the first line of the answer.
func say(t *testing.T, addr, command string) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte(command + "\r\n")); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line)
}
