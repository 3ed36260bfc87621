//go:build linux

package crash

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/odradek/odradek/test/harness"
)

func TestMain(m *testing.M) {
	if os.Geteuid() != 0 {
		os.Exit(asRoot())
	}
	os.Exit(harness.Main(m))
}

// asRoot runs this test binary again as root of a user namespace of its own, where it may mount a small disk. What it
// mounts is seen by nobody else. It returns the exit status.
func asRoot() int {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		Pdeathsig:   syscall.SIGKILL,
	}
	err := cmd.Run()
	if cmd.ProcessState == nil {
		fmt.Fprintln(os.Stderr, "these tests mount small disks: run them as root or allow user namespaces:", err)
		return 1
	}
	return cmd.ProcessState.ExitCode()
}

// either picks a duration by the form of the test.
func either(short, long time.Duration) time.Duration {
	if harness.Long() {
		return long
	}
	return short
}

// between draws a duration of [from, to).
func between(from, to time.Duration) time.Duration { return from + rand.N(to-from) }

// verify runs `odradek verify` on a bucket whose agent is down, and wants it clean.
func verify(t *testing.T, bucket string, env []string) {
	t.Helper()
	out, status := harness.Run(t, env, "verify", "--bucket", bucket)
	if status != 0 {
		t.Fatalf("odradek verify: status %d\n%s", status, out)
	}
}

// eventually waits until holds says nothing more, and fails with the last it said.
func eventually(t *testing.T, limit time.Duration, holds func() error) {
	t.Helper()
	for deadline := time.Now().Add(limit); ; time.Sleep(50 * time.Millisecond) {
		err := holds()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %v: %v", limit, err)
		}
	}
}
