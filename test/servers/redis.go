package servers

import (
	"bufio"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// RedisServer is a Redis to test with. It is configured as Odradek asks: it never evicts.
type RedisServer struct {
	Handle
	Addr     string // host:port
	Password string // empty for none
	DB       string // empty for 0
}

// URL is redis://host:port, with the database if there is one, without the password.
func (r *RedisServer) URL() string {
	u := url.URL{Scheme: "redis", Host: r.Addr}
	if r.DB != "" {
		u.Path = "/" + r.DB
	}
	return u.String()
}

// Redis returns the server that ODRADEK_TEST_REDIS names, else one of the test's own. The former is shared and not
// empty: choose keys that nobody else has.
func Redis(t testing.TB) *RedisServer {
	t.Helper()
	if env := os.Getenv("ODRADEK_TEST_REDIS"); env != "" {
		return externalRedis(t, env)
	}
	return OwnRedis(t)
}

// OwnRedis starts a Redis for this test. It keeps nothing on disk unless args, options of redis-server, say so:
// OwnRedis(t, "--appendonly", "yes") gives one whose data outlive Restart.
func OwnRedis(t testing.TB, args ...string) *RedisServer {
	t.Helper()
	p := newRedis(binary(t, "redis-server"), args)
	p.own(t)
	return &RedisServer{Handle: Handle{t, p}, Addr: p.addrs[0]}
}

func newRedis(path string, args []string) *process {
	return &process{name: "redis", ports: 1, ready: redisReady, build: func(p *process) *exec.Cmd {
		_, port, _ := net.SplitHostPort(p.addrs[0])
		base := []string{
			"--bind", "127.0.0.1", "--port", port, "--dir", p.dir, "--save", "", "--appendonly", "no",
			"--maxmemory-policy", "noeviction", "--daemonize", "no",
		}
		return exec.Command(path, append(base, args...)...)
	}}
}

// redisReady sends a PING. A server that still loads its data answers with an error, and so is not ready; one that
// asks for a password is.
func redisReady(p *process) error {
	c, err := net.DialTimeout("tcp", p.addrs[0], time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Second))
	if _, err := c.Write([]byte("PING\r\n")); err != nil {
		return err
	}
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		return err
	}
	if !strings.HasPrefix(line, "+PONG") && !strings.HasPrefix(line, "-NOAUTH") {
		return fmt.Errorf("PING answered %q", line)
	}
	return nil
}

func externalRedis(t testing.TB, env string) *RedisServer {
	t.Helper()
	if !strings.Contains(env, "://") {
		env = "redis://" + env
	}
	u, err := url.Parse(env)
	if err != nil || u.Scheme != "redis" || u.Host == "" {
		t.Fatalf("ODRADEK_TEST_REDIS: want redis://[:password@]host:port[/db] or host:port")
	}
	password, _ := u.User.Password()
	return &RedisServer{Handle: Handle{t: t}, Addr: u.Host, Password: password, DB: strings.Trim(u.Path, "/")}
}
