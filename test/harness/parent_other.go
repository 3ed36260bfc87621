//go:build !linux

package harness

import "syscall"

// dieWithParent cannot be asked for here: a test that is killed leaves its agents.
func dieWithParent() *syscall.SysProcAttr { return nil }
