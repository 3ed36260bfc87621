package containers

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// inside says what a process is to see and to be. It reaches this test binary, started anew, as JSON in a variable.
type inside struct {
	Root string   // directory of the image's files, read-only from then on
	Data string   // directory that is /data, writable
	User int      // and group
	Args []string // the program and its arguments, in the root
	Env  []string
}

const insideVariable = "ODRADEK_TEST_INSIDE"

// command is that process: in a mount namespace of its own, with nothing but the image's files and /data.
func (i inside) command(t *testing.T) *exec.Cmd {
	t.Helper()
	text, err := json.Marshal(i)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = []string{insideVariable + "=" + string(text)}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	return cmd
}

// enterRoot turns this process into the one that the variable tells of, if there is one.
func enterRoot() {
	text := os.Getenv(insideVariable)
	if text == "" {
		return
	}
	var i inside
	err := json.Unmarshal([]byte(text), &i)
	if err == nil {
		err = i.enter()
	}
	fmt.Fprintln(os.Stderr, "enter the image:", err)
	os.Exit(125)
}

// enter returns only if it fails.
func (i inside) enter() error {
	data := filepath.Join(i.Root, "data")
	for _, m := range []struct {
		what, from, to string
		flags          uintptr
	}{
		{"nothing of this reaches the machine", "", "/", unix.MS_REC | unix.MS_PRIVATE},
		{"root", i.Root, i.Root, unix.MS_BIND},
		{"root, read-only", "", i.Root, unix.MS_BIND | unix.MS_REMOUNT | unix.MS_RDONLY},
		{"data", i.Data, data, unix.MS_BIND},
	} {
		if err := unix.Mount(m.from, m.to, "", m.flags, ""); err != nil {
			return fmt.Errorf("mount %s: %w", m.what, err)
		}
	}
	for _, step := range []struct {
		what string
		do   func() error
	}{
		{"chroot", func() error { return syscall.Chroot(i.Root) }},
		{"chdir", func() error { return syscall.Chdir("/") }},
		{"groups", func() error { return syscall.Setgroups([]int{}) }},
		{"group", func() error { return syscall.Setgid(i.User) }},
		{"user", func() error { return syscall.Setuid(i.User) }},
	} {
		if err := step.do(); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	runtime.LockOSThread() // the signal of a dead parent, which the change of user took away, is one thread's
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(syscall.SIGKILL), 0, 0, 0); err != nil {
		return err
	}
	return fmt.Errorf("%s: %w", strings.Join(i.Args, " "), syscall.Exec(i.Args[0], i.Args, i.Env))
}
