package ops

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Limits of the HTTP server. Profiles and traces take as long as they were asked to, so there is no time-out on
// writing.
const (
	headerTimeout   = 5 * time.Second
	idleTimeout     = 2 * time.Minute
	maxHeaderBytes  = 64 << 10
	maxScrapes      = 4
	shutdownTimeout = 2 * time.Second
)

// Config is what a Server answers with.
type Config struct {
	Ready   func() []string     // why the agent is not ready, none if it is; called at every request
	Metrics prometheus.Gatherer // what /metrics shows
	Pprof   bool                // serve /debug/pprof to connections from loopback
	Log     *slog.Logger
	Also    map[string]http.Handler // more paths, by pattern
}

// Server is the agent's HTTP side.
type Server struct {
	listener net.Listener
	http     *http.Server
}

// NewServer makes a server on a listener, which it owns from then on. Nothing is served before Run.
func NewServer(listener net.Listener, config Config) *Server {
	return &Server{
		listener: listener,
		http: &http.Server{
			Handler:           Handler(config),
			ReadHeaderTimeout: headerTimeout,
			IdleTimeout:       idleTimeout,
			MaxHeaderBytes:    maxHeaderBytes,
			ErrorLog:          slog.NewLogLogger(config.Log.Handler(), slog.LevelDebug),
		},
	}
}

// Run serves until ctx ends, then gives requests under way two seconds to finish. It returns nil after ctx ended.
func (s *Server) Run(ctx context.Context) error {
	served := make(chan error, 1)
	go func() { served <- s.http.Serve(s.listener) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	err := s.http.Shutdown(grace)
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.http.Close()
	}
	if ended := <-served; err == nil && !errors.Is(ended, http.ErrServerClosed) {
		err = ended
	}
	return err
}

// Handler routes the paths of the HTTP side.
func Handler(config Config) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, "ok\n") })
	mux.HandleFunc("GET /readyz", readyz(config.Ready))
	mux.Handle("GET /metrics", promhttp.HandlerFor(config.Metrics, promhttp.HandlerOpts{
		ErrorLog:            slog.NewLogLogger(config.Log.Handler(), slog.LevelWarn),
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: maxScrapes,
	}))
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, "odradek\n\n/livez\n/readyz\n/metrics\n")
	})
	for pattern, handler := range config.Also {
		mux.Handle(pattern, handler)
	}
	if config.Pprof {
		for path, profile := range map[string]http.HandlerFunc{
			"/debug/pprof/": pprof.Index, "/debug/pprof/cmdline": pprof.Cmdline, "/debug/pprof/profile": pprof.Profile,
			"/debug/pprof/symbol": pprof.Symbol, "/debug/pprof/trace": pprof.Trace,
		} {
			mux.HandleFunc(path, onLoopback(profile))
		}
	}
	return mux
}

// onLoopback answers connections from this machine only, wherever the server listens: a profile tells what is in memory, and
// costs what whoever asks wants it to.
func onLoopback(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		from, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil || !from.Addr().Unmap().IsLoopback() {
			answer(w, http.StatusForbidden, "profiles are for connections from this machine, over loopback\n")
			return
		}
		next(w, r)
	}
}

// readyz answers 200 when nothing speaks against it, else 503 and the reasons, one a line.
func readyz(ready func() []string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if reasons := ready(); len(reasons) > 0 {
			answer(w, http.StatusServiceUnavailable, strings.Join(reasons, "\n")+"\n")
			return
		}
		answer(w, http.StatusOK, "ok\n")
	}
}

func answer(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text)
}
