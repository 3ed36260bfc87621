package harness

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	startTime = 60 * time.Second // until an agent is ready; the machine may be busy
	stopTime  = 30 * time.Second // until an agent is gone after SIGTERM
)

// Options say how an agent is started. The zero value is what a person gets who types `odradek agent`.
type Options struct {
	Bucket  string   // URL; empty: a directory below DataDir
	Redis   string   // URL; empty: the index in memory
	DataDir string   // empty: a directory of the test's own
	Env     []string // NAME=value, as for the bucket's keys
	Flags   []string // more of them
	Addr    string   // host:port of the Kafka side; empty: a free port
	Log     string   // file that takes what the agent prints; empty: one that goes with the test
	NoWait  bool     // Start does not wait for /readyz
}

// Agent is one agent on its ports and directories, through all its lives. It is used by one goroutine.
type Agent struct {
	Addr    string // host:port for Kafka clients
	HTTP    string // host:port of /readyz and /metrics
	DataDir string
	Bucket  string // URL, also of the default bucket

	t        testing.TB
	env      []string
	flags    []string
	once     []string // more environment, of the next life only
	logPath  string
	cmd      *exec.Cmd
	exited   <-chan struct{} // closed when the process was waited for
	loggedAt int64           // size of the log when this life began
}

// Start starts an agent and waits until it is ready. It ends with the test.
func Start(t testing.TB, o Options) *Agent {
	t.Helper()
	a := New(t, o)
	if o.NoWait {
		a.Launch()
	} else {
		a.Restart()
	}
	return a
}

// New prepares an agent that is not started yet.
func New(t testing.TB, o Options) *Agent {
	t.Helper()
	a := &Agent{Addr: o.Addr, HTTP: FreeAddr(t), DataDir: o.DataDir, Bucket: o.Bucket, t: t, env: o.Env, flags: o.Flags}
	if a.Addr == "" {
		a.Addr = FreeAddr(t)
	}
	if a.DataDir == "" {
		a.DataDir = TempDir(t)
	}
	if a.Bucket == "" {
		a.Bucket = "file://" + filepath.Join(a.DataDir, "bucket")
	}
	if o.Redis != "" {
		a.flags = append([]string{"--redis", o.Redis}, a.flags...)
	}
	a.logPath = o.Log
	if a.logPath == "" {
		a.logPath = filepath.Join(TempDir(t), "agent.log")
	}
	t.Cleanup(a.end)
	return a
}

// TempDir is a directory that goes with the test. t.TempDir fails a test whose killed agent still writes there.
func TempDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "odradek-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// Restart starts the agent, with more flags if there are any, and waits until it is ready. One that runs is killed.
func (a *Agent) Restart(flags ...string) {
	a.t.Helper()
	a.Launch(flags...)
	a.WaitReady()
}

// Launch is Restart without the waiting.
func (a *Agent) Launch(flags ...string) {
	a.t.Helper()
	a.Kill()
	a.flags = append(a.flags, flags...)
	log, err := os.OpenFile(a.logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		a.t.Fatal(err)
	}
	defer log.Close()
	if info, err := log.Stat(); err == nil {
		a.loggedAt = info.Size()
	}
	args := append([]string{"agent", "--data-dir", a.DataDir, "--bucket", a.Bucket, "--listen", a.Addr, "--http", a.HTTP}, a.flags...)
	cmd := Command(a.t, slices.Concat(a.env, a.once), args...)
	a.once = nil
	cmd.Stdout, cmd.Stderr = log, log
	exited, err := StartTied(cmd)
	if err != nil {
		a.t.Fatalf("start agent: %v", err)
	}
	a.cmd, a.exited = cmd, exited
}

// StartTied starts a process that dies with this one; exited is closed when it was waited for.
func StartTied(cmd *exec.Cmd) (exited <-chan struct{}, err error) {
	dieWithParent(cmd)
	started, ended := make(chan error), make(chan struct{})
	go func() {
		runtime.LockOSThread() // the kernel ties the child to the thread that started it: the thread must live as long
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
		close(ended)
	}()
	return ended, <-started
}

// OnceWith adds environment to the next life, and to no other.
func (a *Agent) OnceWith(env ...string) { a.once = append(a.once, env...) }

// WaitReady waits until /readyz says yes.
func (a *Agent) WaitReady() {
	a.t.Helper()
	for deadline := time.Now().Add(startTime); !a.Ready(); time.Sleep(5 * time.Millisecond) {
		if !a.Running() {
			a.t.Fatalf("agent ended before it was ready: %v\n%s", a.cmd.ProcessState, a.Tail())
		}
		if time.Now().After(deadline) {
			a.t.Fatalf("agent is not ready after %v\n%s", startTime, a.Tail())
		}
	}
}

// WaitHTTP waits until the HTTP side answers, ready or not: an agent that waits for its bucket says so there.
func (a *Agent) WaitHTTP() {
	a.t.Helper()
	a.Wait(startTime, "an answer on "+a.HTTP, func() bool {
		answer, err := client.Get("http://" + a.HTTP + "/livez")
		if err != nil {
			return false
		}
		answer.Body.Close()
		return true
	})
}

// Ready asks /readyz once.
func (a *Agent) Ready() bool {
	answer, err := client.Get("http://" + a.HTTP + "/readyz")
	if err != nil {
		return false
	}
	answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}

// Running reports whether the process lives.
func (a *Agent) Running() bool {
	if a.cmd == nil {
		return false
	}
	select {
	case <-a.exited:
		return false
	default:
		return true
	}
}

// Kill ends the agent with SIGKILL and waits until it is gone. One that is down stays down.
func (a *Agent) Kill() {
	a.t.Helper()
	if a.cmd == nil {
		return
	}
	a.cmd.Process.Kill()
	<-a.exited
}

// Signal sends the process a signal.
func (a *Agent) Signal(s syscall.Signal) {
	a.t.Helper()
	if err := a.cmd.Process.Signal(s); err != nil {
		a.t.Fatalf("signal %v: %v", s, err)
	}
}

// Stop ends the agent with SIGTERM, wants exit status 0 and says how long it took.
func (a *Agent) Stop() time.Duration {
	a.t.Helper()
	took, status := a.Terminate()
	if status != 0 {
		a.t.Fatalf("agent ended with status %d after SIGTERM, want 0\n%s", status, a.Tail())
	}
	return took
}

// Terminate ends the agent with SIGTERM and gives how long it took and its exit status.
func (a *Agent) Terminate() (time.Duration, int) {
	a.t.Helper()
	a.Signal(syscall.SIGTERM)
	took := a.WaitExit(stopTime)
	return took, a.ExitStatus()
}

// WaitExit waits until the process ended by itself and gives how long that took.
func (a *Agent) WaitExit(limit time.Duration) time.Duration {
	a.t.Helper()
	began := time.Now()
	select {
	case <-a.exited:
	case <-time.After(limit):
		a.Signal(syscall.SIGQUIT) // prints every goroutine
		<-a.exited
		a.t.Fatalf("agent still runs after %v\n%s", limit, a.Tail())
	}
	return time.Since(began)
}

// ExitStatus is that of the ended process; -1 after a signal.
func (a *Agent) ExitStatus() int {
	<-a.exited
	return a.cmd.ProcessState.ExitCode()
}

// Pid is the process id of the life of the moment.
func (a *Agent) Pid() int { return a.cmd.Process.Pid }

func (a *Agent) end() {
	a.Kill()
	if strings.Contains(a.Log(), "WARNING: DATA RACE") {
		a.t.Error("the agent reported a data race")
	}
	if os.Getenv("ODRADEK_TEST_LOG") == "1" {
		a.t.Logf("agent %s printed:\n%s", a.Addr, a.Log())
	} else if a.t.Failed() {
		a.t.Logf("agent %s printed:\n%s", a.Addr, a.Tail())
	}
	if strings.Contains(a.Log(), "\npanic: ") || strings.Contains(a.Log(), "\nfatal error: ") {
		a.t.Errorf("the agent panicked:\n%s", a.Tail())
	}
}

// String names the agent in a test's messages.
func (a *Agent) String() string {
	return fmt.Sprintf("agent %s (data %s, bucket %s)", a.Addr, a.DataDir, a.Bucket)
}
