package main

import (
	"errors"
	"fmt"
	"hash/crc32"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// process is one that a figure started.
type process struct {
	cmd  *exec.Cmd
	addr string
	http string
	dir  string
}

func start(c *exec.Cmd) (*process, error) {
	if err := c.Start(); err != nil {
		return nil, err
	}
	return &process{cmd: c}, nil
}

// stop ends the process and waits for it.
func (p *process) stop() {
	p.cmd.Process.Kill()
	p.cmd.Wait()
	if p.dir != "" {
		os.RemoveAll(p.dir)
	}
}

// cpu is what the process has used so far, from /proc.
func (p *process) cpu() (user, system float64) { return cpuOf(p.cmd.Process.Pid) }

func cpuOf(pid int) (user, system float64) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0
	}
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+2:]))
	u, _ := strconv.ParseFloat(f[11], 64)
	s, _ := strconv.ParseFloat(f[12], 64)
	return u / 100, s / 100
}

// rss is the process's resident memory in MiB.
func (p *process) rss() float64 { return residentMiB(p.cmd.Process.Pid) }

// freeAddr finds a loopback address that nobody listens on.
func freeAddr() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "127.0.0.1:0"
	}
	defer l.Close()
	return l.Addr().String()
}

// reachable waits until something accepts at addr.
func reachable(addr string) error {
	for range 1000 {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			return c.Close()
		}
		time.Sleep(10 * time.Millisecond)
	}
	return fmt.Errorf("nothing listens on %s", addr)
}

func startSink(args ...string) (*process, error) {
	addr := freeAddr()
	p, err := start(self(append([]string{"sink", "-addr", addr}, args...)...))
	if err != nil {
		return nil, err
	}
	p.addr = addr
	return p, reachable(addr)
}

// binary is the odradek to measure: that of BENCH_ODRADEK, or one built now.
func binaryPath() (string, error) {
	if path := os.Getenv("BENCH_ODRADEK"); path != "" {
		return path, nil
	}
	path := filepath.Join(os.TempDir(), fmt.Sprintf("odradek-bench-%d", os.Getpid()))
	out, err := exec.Command("go", "build", "-o", path, "github.com/odradek/odradek/cmd/odradek").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build odradek: %w: %s", err, out)
	}
	os.Setenv("BENCH_ODRADEK", path)
	return path, nil
}

// startAgent starts an odradek with a data directory of its own; more are its flags.
func startAgent(more ...string) (*process, error) {
	bin, err := binaryPath()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "odradek-bench")
	if err != nil {
		return nil, err
	}
	addr, web := freeAddr(), freeAddr()
	c := exec.Command(bin, append([]string{"agent", "--data-dir", dir, "--listen", addr, "--http", web, "--log-level", "warn"}, more...)...)
	c.Stderr = os.Stderr
	c.Env = append(os.Environ(), "AWS_ACCESS_KEY_ID=k", "AWS_SECRET_ACCESS_KEY=secretsecret")
	p, err := start(c)
	if err != nil {
		return nil, err
	}
	p.addr, p.http, p.dir = addr, web, dir
	return p, p.ready()
}

func (p *process) ready() error {
	for range 1500 {
		resp, err := http.Get("http://" + p.http + "/readyz")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		time.Sleep(2 * time.Millisecond)
	}
	return errors.New("agent does not get ready")
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(v))
	return s[len(s)/2]
}

// counts asks a sink how many PUTs it had and how long they took together.
func (p *process) counts() (puts, nanos float64, err error) {
	resp, err := http.Get("http://" + p.addr + "/count")
	if err != nil {
		return 0, 0, err
	}
	defer resp.Body.Close()
	_, err = fmt.Fscan(resp.Body, &puts, &nanos)
	return puts, nanos, err
}
