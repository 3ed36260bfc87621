package pool

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/odradek/odradek/test/chaos/link"
	"github.com/odradek/odradek/test/harness"
)

// Agent is one agent of the pool through all its lives, with its links.
type Agent struct {
	Name   string     // a1, a2, …
	Zone   string     // its own: no other agent has it
	Addr   string     // where it listens itself
	HTTP   string     // of /readyz and /metrics
	Client *link.TCP  // what clients are told to connect to
	Redis  *link.TCP  // what it connects to
	Bucket *link.HTTP // what it connects to; nil with a directory

	log   string     // file
	data  string     // directory
	small *smallDisk // that data is on; nil: none of its own

	mu      sync.Mutex // guards all below
	process *harness.Agent
	life    int  // how often it was started
	left    bool // for good
	stopped bool // by SIGSTOP
}

// Launch starts the agent, and kills it first if it runs. It does not wait until it is ready.
func (a *Agent) Launch() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.life++
	a.left, a.stopped = false, false
	a.process.Launch()
}

// Kill is SIGKILL. It reports whether there was a process to kill.
func (a *Agent) Kill() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	ran := a.process.Running()
	a.process.Kill()
	return ran
}

// Terminate is SIGTERM; it waits until the process is gone, or a limit is reached.
func (a *Agent) Terminate(limit time.Duration) (time.Duration, error) {
	began := time.Now()
	a.Signal(syscall.SIGTERM)
	for a.Running() {
		if time.Since(began) > limit {
			a.Signal(syscall.SIGQUIT) // prints every goroutine
			time.Sleep(time.Second)
			a.Kill()
			return 0, fmt.Errorf("%s still ran %v after SIGTERM", a.Name, limit)
		}
		time.Sleep(10 * time.Millisecond)
	}
	return time.Since(began), nil
}

// Leave says that the agent will not be started again by Mend.
func (a *Agent) Leave() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.left = true
}

// Signal sends a signal to the process, if there is one.
func (a *Agent) Signal(s syscall.Signal) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.process.Running() {
		return
	}
	syscall.Kill(a.process.Pid(), s)
	switch s {
	case syscall.SIGSTOP:
		a.stopped = true
	case syscall.SIGCONT:
		a.stopped = false
	}
}

// Running reports whether the process lives, stopped or not.
func (a *Agent) Running() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.process.Running()
}

// Up reports whether the process lives and is not stopped.
func (a *Agent) Up() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.process.Running() && !a.stopped
}

// Stopped reports whether the process lives and is stopped.
func (a *Agent) Stopped() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.process.Running() && a.stopped
}

// Left reports whether the agent left for good.
func (a *Agent) Left() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.left
}

// Life counts the starts of the agent.
func (a *Agent) Life() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.life
}

// Ready asks /readyz.
func (a *Agent) Ready() bool { return a.Up() && a.process.Ready() }

// Pid is 0 while the process is down.
func (a *Agent) Pid() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.process.Running() {
		return 0
	}
	return a.process.Pid()
}

// Log is all that the agent printed in all its lives.
func (a *Agent) Log() string {
	b, err := os.ReadFile(a.log)
	if err != nil {
		return ""
	}
	return string(b)
}

// Tail is the end of what the agent printed.
func (a *Agent) Tail() string {
	s := a.Log()
	return s[max(0, len(s)-4096):]
}

// Count says how many lines of the log hold a text.
func (a *Agent) Count(text string) int { return strings.Count(a.Log(), text) }

// Small reports whether the agent's data is on a disk that FillDisk can fill.
func (a *Agent) Small() bool { return a.small != nil }

// FillDisk takes all room on the agent's small disk, FreeDisk gives it back.
func (a *Agent) FillDisk() error { return a.small.fill() }

// FreeDisk is the end of FillDisk.
func (a *Agent) FreeDisk() error { return a.small.free() }

// mend ends what the links do.
func (a *Agent) mend() {
	a.Client.Mend()
	a.Redis.Mend()
	if a.Bucket != nil {
		a.Bucket.Mend()
		a.Bucket.Behave()
	}
}

// Goroutines is what the agent's goroutines do, if it serves profiles.
func (a *Agent) Goroutines() []byte {
	client := http.Client{Timeout: 5 * time.Second}
	answer, err := client.Get("http://" + a.HTTP + "/debug/pprof/goroutine?debug=2")
	if err != nil {
		return nil
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil
	}
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil
	}
	return b
}
