package servers

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"
)

// startTime is how long a server may take until it answers. The machine may be busy.
const startTime = time.Minute

// process is a server under our control. Not for concurrent use, but for pid.
type process struct {
	name  string
	dir   string   // removed by remove
	ports int      // how many free ports command asks for
	addrs []string // the ports, kept over a restart
	build func(p *process) *exec.Cmd
	ready func(p *process) error // nil once the server answers

	mu     sync.Mutex // guards running
	cmd    *exec.Cmd
	exited chan struct{} // closed when the process was waited for
}

// launch starts the server on free ports and waits until it answers. Another process may take a port between our
// look and the server's bind, so it is tried again with others.
func (p *process) launch() error {
	dir, err := os.MkdirTemp("", "odradek-"+p.name+"-")
	if err != nil {
		return err
	}
	p.dir = dir
	for attempt := 1; ; attempt++ {
		if p.addrs, err = freePorts(p.ports); err != nil {
			return err
		}
		if err = p.start(); err == nil || attempt == 3 {
			return err
		}
		p.kill()
	}
}

// start runs the server on the addresses it has and waits until it answers.
func (p *process) start() error {
	cmd := p.build(p)
	cmd.Dir = p.dir
	log, err := os.OpenFile(p.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = dieWithParent()
	started, exited := make(chan error), make(chan struct{})
	go func() {
		// The kernel ties the child to the thread that started it: the thread must live as long.
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			cmd.Wait()
		}
		close(exited)
	}()
	if err := <-started; err != nil {
		return err
	}
	p.mu.Lock()
	p.cmd, p.exited = cmd, exited
	p.mu.Unlock()
	return p.waitReady(exited)
}

func (p *process) waitReady(exited <-chan struct{}) error {
	deadline := time.NewTimer(startTime)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := p.ready(p)
		if err == nil {
			return nil
		}
		select {
		case <-exited:
			return fmt.Errorf("%s ended before it answered:\n%s", p.name, p.log())
		case <-deadline.C:
			return fmt.Errorf("%s does not answer after %v: %w\n%s", p.name, startTime, err, p.log())
		case <-tick.C:
		}
	}
}

// kill ends the server with SIGKILL and waits for it. A server that is down stays down.
func (p *process) kill() {
	p.mu.Lock()
	cmd, exited := p.cmd, p.exited
	p.mu.Unlock()
	if cmd == nil {
		return
	}
	cmd.Process.Kill()
	<-exited
}

func (p *process) remove() {
	p.kill()
	os.RemoveAll(p.dir)
}

// pid is 0 when the server is down.
func (p *process) pid() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.exited:
		return 0
	default:
		return p.cmd.Process.Pid
	}
}

func (p *process) logFile() string { return filepath.Join(p.dir, "server.log") }

// log is the end of what the server printed.
func (p *process) log() string {
	b, err := os.ReadFile(p.logFile())
	if err != nil {
		return err.Error()
	}
	if len(b) > 4096 {
		b = b[len(b)-4096:]
	}
	return string(bytes.TrimSpace(b))
}

// own starts the server for one test, which prints its log if it fails.
func (p *process) own(t testing.TB) {
	t.Helper()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s printed:\n%s", p.name, p.log())
		}
		p.remove()
	})
	if err := p.launch(); err != nil {
		t.Fatalf("start %s: %v", p.name, err)
	}
}

// Handle controls a server that this package started.
type Handle struct {
	t testing.TB
	p *process // nil for a server from the environment
}

// Kill ends the server with SIGKILL and waits until it is gone. Its files stay.
func (h Handle) Kill() {
	h.t.Helper()
	h.started().kill()
}

// Restart starts a killed server again on the same address and files, and waits until it answers. One that still
// runs is killed first.
func (h Handle) Restart() {
	h.t.Helper()
	p := h.started()
	p.kill()
	if err := p.start(); err != nil {
		h.t.Fatalf("restart %s: %v", p.name, err)
	}
}

// Pid is the server's process id, 0 while it is down.
func (h Handle) Pid() int {
	h.t.Helper()
	return h.started().pid()
}

// Dir is the directory the server writes to.
func (h Handle) Dir() string {
	h.t.Helper()
	return h.started().dir
}

func (h Handle) started() *process {
	h.t.Helper()
	if h.p == nil {
		h.t.Fatal("the server comes from the environment and cannot be controlled: use OwnRedis or OwnMinIO")
	}
	return h.p
}

// freePorts returns n addresses of loopback that nobody listens on.
func freePorts(n int) ([]string, error) {
	var addrs []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		addrs = append(addrs, l.Addr().String())
	}
	return addrs, nil
}
