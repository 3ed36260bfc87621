package servers

import (
	"os"
	"sync"
	"sync/atomic"
	"testing"
)

// shared is a server that all tests of a process use.
type shared struct {
	once sync.Once
	p    *process
	err  error
}

var (
	sharedRedis, sharedMinIO, sharedVersityGW shared

	inMain atomic.Bool // Main runs, so somebody removes what is shared
)

// Main runs a package's tests and then removes the servers that they shared. It returns the exit code.
func Main(m *testing.M) int {
	inMain.Store(true)
	defer func() {
		for _, s := range []*shared{&sharedRedis, &sharedMinIO, &sharedVersityGW} {
			if s.p != nil {
				s.p.remove()
			}
		}
	}()
	return m.Run()
}

// start launches the server at the first call. It may be called concurrently.
func (s *shared) start(t testing.TB, name string, build func(path string) *process) *process {
	t.Helper()
	if !inMain.Load() {
		t.Fatal("a shared server needs `func TestMain(m *testing.M) { os.Exit(servers.Main(m)) }` in this package")
	}
	path := binary(t, name)
	s.once.Do(func() {
		s.p = build(path)
		s.err = s.p.launch()
	})
	if s.err != nil {
		t.Fatalf("start %s: %v", name, s.err)
	}
	return s.p
}

// SharedRedis is Redis, but one for all tests of the process: choose keys that no other test has, and do not kill
// it.
func SharedRedis(t testing.TB) *RedisServer {
	t.Helper()
	if env := os.Getenv("ODRADEK_TEST_REDIS"); env != "" {
		return externalRedis(t, env)
	}
	p := sharedRedis.start(t, "redis-server", func(path string) *process { return newRedis(path, nil) })
	return &RedisServer{Handle: Handle{t, p}, Addr: p.addrs[0]}
}

// SharedMinIO is MinIO, but one for all tests of the process. Each call gets a bucket of its own.
func SharedMinIO(t testing.TB) *S3Server {
	t.Helper()
	if env := os.Getenv("ODRADEK_TEST_S3"); env != "" {
		return externalS3(t, env)
	}
	return withBucket(t, started(t, sharedMinIO.start(t, "minio", newMinIO)))
}

// SharedVersityGW is VersityGW, but one for all tests of the process. Each call gets a bucket of its own.
func SharedVersityGW(t testing.TB) *S3Server {
	t.Helper()
	return withBucket(t, started(t, sharedVersityGW.start(t, "versitygw", newVersityGW)))
}
