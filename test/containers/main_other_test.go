//go:build !linux

package containers

import "os/exec"

// enterRoot does nothing: the image is tested on Linux.
func enterRoot() {}

// startTied starts a process; the channel is closed when it was waited for.
func startTied(cmd *exec.Cmd) (<-chan struct{}, error) {
	exited := make(chan struct{})
	err := cmd.Start()
	if err != nil {
		return nil, err
	}
	go func() {
		cmd.Wait()
		close(exited)
	}()
	return exited, nil
}
