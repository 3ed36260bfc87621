package containers

import (
	"os/exec"
	"runtime"
	"syscall"
)

// startTied starts a process that dies with this one; the channel is closed when it was waited for.
func startTied(cmd *exec.Cmd) (<-chan struct{}, error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = new(syscall.SysProcAttr)
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	started, exited := make(chan error), make(chan struct{})
	go func() {
		runtime.LockOSThread() // the kernel ties the child to the thread that started it: the thread must live as long
		err := cmd.Start()
		started <- err
		if err == nil {
			cmd.Wait()
		}
		close(exited)
	}()
	return exited, <-started
}
