package ops

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/pprof"
	"syscall"
	"time"
)

// Socket is the name of the socket in the data directory that `odradek debug bundle` asks. Whoever may read the directory as its
// owner may ask; nothing of it is on the network.
const Socket = "debug.sock"

// Debug is what an agent tells there, besides what a Server tells.
type Debug struct {
	Config
	Version  string
	Settings string // a line each, secrets masked
	Last     *Last  // nil: nothing is kept
}

// ListenDebug listens on the socket of a data directory. One that a dead process left there is taken over; one that is
// answered is another agent's.
func ListenDebug(dir string) (net.Listener, error) {
	path := filepath.Join(dir, Socket)
	if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
		c.Close()
		return nil, fmt.Errorf("%s: another agent answers there", path)
	} else if errors.Is(err, syscall.ECONNREFUSED) {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// NewDebugServer makes a server on that listener, which it owns from then on.
func NewDebugServer(listener net.Listener, d Debug) *Server {
	mux := http.NewServeMux()
	text := func(path string, give func() string) {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, give()) })
	}
	text("/version", func() string { return d.Version + "\n" })
	text("/settings", func() string { return d.Settings })
	text("/errors", func() string {
		if d.Last == nil {
			return ""
		}
		return string(d.Last.Lines())
	})
	mux.HandleFunc("GET /goroutines", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_ = pprof.Lookup("goroutine").WriteTo(w, 2)
	})
	mux.Handle("/", Handler(d.Config))
	s := NewServer(listener, d.Config)
	s.http.Handler = mux
	return s
}
