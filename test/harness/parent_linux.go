package harness

import (
	"os/exec"
	"syscall"
)

// dieWithParent has the kernel kill a process when the test's own ends, however it ends.
func dieWithParent(cmd *exec.Cmd) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = new(syscall.SysProcAttr)
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
}
