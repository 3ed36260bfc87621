//go:build !linux

package servers

import "syscall"

// dieWithParent cannot be asked for here: a test that is killed leaves its servers.
func dieWithParent() *syscall.SysProcAttr { return nil }
