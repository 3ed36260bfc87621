package wire_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"

	"github.com/odradek/odradek/agent/api"
	"github.com/odradek/odradek/agent/wire"
)

// handlerFunc answers frames in a test.
type handlerFunc func(ctx context.Context, conn *api.Conn, frame *api.Frame) (api.Reply, error)

func (h handlerFunc) Handle(ctx context.Context, conn *api.Conn, frame *api.Frame) (api.Reply, error) {
	return h(ctx, conn, frame)
}

// echo answers a frame with its own bytes.
func echo(_ context.Context, _ *api.Conn, frame *api.Frame) (api.Reply, error) {
	return func(context.Context) (net.Buffers, error) { return net.Buffers{frame.Bytes}, nil }, nil
}

// running is a server over one handler.
type running struct {
	addr     string
	registry *prometheus.Registry
	stop     func() error // asks to stop and waits
}

// serve runs a server until the test ends, and checks then that all memory was given back.
func serve(t *testing.T, h handlerFunc, memory int64, change func(*wire.Config)) *running {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg := wire.DefaultConfig()
	if change != nil {
		change(&cfg)
	}
	sem := semaphore.NewWeighted(memory)
	registry := prometheus.NewRegistry()
	server := wire.New(h, sem, cfg, slog.New(slog.DiscardHandler), registry)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx, listener) }()
	var stopped atomic.Bool
	r := &running{addr: listener.Addr().String(), registry: registry}
	r.stop = func() error {
		cancel()
		if stopped.Swap(true) {
			return nil
		}
		return <-done
	}
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Errorf("serve: %v", err)
		}
		if !sem.TryAcquire(memory) {
			t.Error("frames were not released")
		}
	})
	return r
}

func (r *running) dial(t *testing.T) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}

// refused reads the counter of refused frames.
func (r *running) refused(t *testing.T) map[string]float64 {
	t.Helper()
	families, err := r.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "odradek_wire_refused_frames_total" {
				counts[m.GetLabel()[0].GetValue()] = m.GetCounter().GetValue()
			}
		}
	}
	return counts
}

func frame(body []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
}

// numbered is a frame that begins like a request and ends with n.
func numbered(n int) []byte { return frame(fmt.Appendf(nil, "%08d", n)) }

func readReply(t *testing.T, r io.Reader) []byte {
	t.Helper()
	var length [4]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		t.Fatalf("reply: %v", err)
	}
	b := make([]byte, binary.BigEndian.Uint32(length[:]))
	if _, err := io.ReadFull(r, b); err != nil {
		t.Fatalf("reply: %v", err)
	}
	return b
}

func closedByServer(t *testing.T, c net.Conn) {
	t.Helper()
	_, err := io.Copy(io.Discard, c)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		t.Error("the connection is still open")
	}
}

func TestPipelining_AdmitsAheadAndAnswersInOrder(t *testing.T) {
	const n = 50
	admitted := make(chan string, n)
	release := make(chan struct{})
	r := serve(t, func(_ context.Context, _ *api.Conn, f *api.Frame) (api.Reply, error) {
		admitted <- string(f.Bytes)
		return func(context.Context) (net.Buffers, error) {
			<-release
			return net.Buffers{f.Bytes}, nil
		}, nil
	}, 1<<20, nil)
	c := r.dial(t)
	for i := range n {
		if _, err := c.Write(numbered(i)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range n { // all are admitted, in order, though none is answered
		if got, want := <-admitted, fmt.Sprintf("%08d", i); got != want {
			t.Fatalf("admitted %s, want %s", got, want)
		}
	}
	close(release)
	for i := range n {
		if got, want := string(readReply(t, c)), fmt.Sprintf("%08d", i); got != want {
			t.Fatalf("answered %s, want %s", got, want)
		}
	}
}

func TestPipelining_StopsReadingAtInFlight(t *testing.T) {
	var admitted atomic.Int32
	release := make(chan struct{})
	full := make(chan struct{}, 100)
	r := serve(t, func(_ context.Context, _ *api.Conn, f *api.Frame) (api.Reply, error) {
		admitted.Add(1)
		full <- struct{}{}
		return func(context.Context) (net.Buffers, error) {
			<-release
			return net.Buffers{f.Bytes}, nil
		}, nil
	}, 1<<20, func(c *wire.Config) { c.InFlight = 4 })
	c := r.dial(t)
	for i := range 20 {
		if _, err := c.Write(numbered(i)); err != nil {
			t.Fatal(err)
		}
	}
	for range 6 { // four queued, one being answered, one waiting for a place
		<-full
	}
	if n := admitted.Load(); n != 6 {
		t.Errorf("%d requests were admitted, want 6", n)
	}
	close(release)
	for i := range 20 {
		if got, want := string(readReply(t, c)), fmt.Sprintf("%08d", i); got != want {
			t.Fatalf("answered %s, want %s", got, want)
		}
	}
}

func TestMemory_AFullBudgetStopsReadingAndNotOthers(t *testing.T) {
	release := make(chan struct{})
	held := make(chan struct{}, 10)
	r := serve(t, func(_ context.Context, _ *api.Conn, f *api.Frame) (api.Reply, error) {
		held <- struct{}{}
		return func(context.Context) (net.Buffers, error) {
			<-release
			return net.Buffers{f.Bytes[:8]}, nil
		}, nil
	}, 3<<20, nil)
	a, b := r.dial(t), r.dial(t)
	body := make([]byte, 2<<20)
	go func() { _, _ = a.Write(frame(body)) }()
	<-held
	go func() { _, _ = b.Write(frame(body)) }() // does not fit beside the first
	small := r.dial(t)
	select {
	case <-held:
		t.Fatal("two frames of 2 MiB were read into 3 MiB")
	default:
	}
	close(release)
	readReply(t, a)
	readReply(t, b)
	if _, err := small.Write(numbered(1)); err != nil {
		t.Fatal(err)
	}
	readReply(t, small)
}

func TestHostileFrames_CloseTheirConnectionOnly(t *testing.T) {
	r := serve(t, echo, 200<<20, func(c *wire.Config) { c.StallTimeout = 200 * time.Millisecond; c.MaxFrame = 1 << 20 })
	good := r.dial(t)
	for _, h := range []struct {
		name, reason string
		bytes        []byte
		hangUp       bool
	}{
		{name: "negative length", reason: "size", bytes: []byte{0xff, 0xff, 0xff, 0xff}},
		{name: "zero length", reason: "size", bytes: []byte{0, 0, 0, 0}},
		{name: "huge length", reason: "size", bytes: []byte{0x7f, 0xff, 0xff, 0xff}},
		{name: "too short for a header", reason: "size", bytes: frame([]byte("1234567"))},
		{name: "http", reason: "size", bytes: []byte("GET / HTTP/1.1\r\n\r\n")},
		{name: "tls", reason: "size", bytes: []byte{0x16, 3, 1, 2, 0, 1, 0}},
		{name: "announces and stalls", reason: "stalled", bytes: []byte{0, 1, 0, 0, 'x'}},
		{name: "stalls in the middle", reason: "stalled", bytes: append([]byte{0, 8, 0, 0}, make([]byte, 100<<10)...)},
		{name: "stalls in the length", reason: "", bytes: []byte{0, 0}, hangUp: true},
		{name: "hangs up in the middle", reason: "truncated", bytes: append([]byte{0, 8, 0, 0}, make([]byte, 100<<10)...), hangUp: true},
	} {
		t.Run(h.name, func(t *testing.T) {
			before := r.refused(t)
			c := r.dial(t)
			if _, err := c.Write(h.bytes); err != nil {
				t.Fatal(err)
			}
			if h.hangUp {
				_ = c.(*net.TCPConn).CloseWrite()
			}
			closedByServer(t, c)
			if after := r.refused(t); h.reason != "" && after[h.reason] != before[h.reason]+1 {
				t.Errorf("refused frames: %v, want one more of %q than %v", after, h.reason, before)
			}
			if _, err := good.Write(numbered(7)); err != nil {
				t.Fatal(err)
			}
			readReply(t, good)
		})
	}
}

func TestRefusal_EarlierRepliesStillLeave(t *testing.T) {
	read := make(chan struct{})
	r := serve(t, func(_ context.Context, _ *api.Conn, f *api.Frame) (api.Reply, error) {
		if strings.HasPrefix(string(f.Bytes), "bad") {
			close(read)
			return nil, fmt.Errorf("%w: test", api.ErrMalformed)
		}
		return func(context.Context) (net.Buffers, error) {
			<-read
			return net.Buffers{f.Bytes}, nil
		}, nil
	}, 1<<20, nil)
	c := r.dial(t)
	if _, err := c.Write(append(numbered(1), frame([]byte("bad bad bad"))...)); err != nil {
		t.Fatal(err)
	}
	if got := string(readReply(t, c)); got != "00000001" {
		t.Errorf("answered %s", got)
	}
	closedByServer(t, c)
	if got := r.refused(t)["malformed"]; got != 1 {
		t.Errorf("%v malformed frames are counted, want 1", got)
	}
}

func TestPanic_ClosesItsConnectionOnly(t *testing.T) {
	r := serve(t, func(ctx context.Context, c *api.Conn, f *api.Frame) (api.Reply, error) {
		switch string(f.Bytes[:3]) {
		case "in1":
			panic("admitting")
		case "in2":
			return func(context.Context) (net.Buffers, error) { panic("answering") }, nil
		}
		return echo(ctx, c, f)
	}, 1<<20, nil)
	for _, body := range []string{"in1 panic", "in2 panic"} {
		c := r.dial(t)
		if _, err := c.Write(frame([]byte(body))); err != nil {
			t.Fatal(err)
		}
		closedByServer(t, c)
	}
	if got := r.refused(t)["panic"]; got != 2 {
		t.Errorf("%v panics are counted, want 2", got)
	}
	c := r.dial(t)
	_, _ = c.Write(numbered(1))
	readReply(t, c)
}

func TestSlowReader_IsLetGoAndASlowButSteadyOneServed(t *testing.T) {
	const size = 64 << 20
	big := make([]byte, 8<<20)
	answer := net.Buffers{big, big, big, big, big, big, big, big}
	r := serve(t, func(context.Context, *api.Conn, *api.Frame) (api.Reply, error) {
		return func(context.Context) (net.Buffers, error) { return append(net.Buffers(nil), answer...), nil }, nil
	}, 1<<20, func(c *wire.Config) { c.StallTimeout = 300 * time.Millisecond })
	stopped := r.dial(t)
	_, _ = stopped.Write(numbered(1))
	steady := r.dial(t)
	_, _ = steady.Write(numbered(1))
	if got := len(readReply(t, steady)); got != size {
		t.Errorf("read %d bytes, want %d", got, size)
	}
	deadline := time.Now().Add(10 * time.Second)
	for open := -1.0; open != 1; open = gauge(t, r) {
		if time.Now().After(deadline) {
			t.Fatalf("%v connections are open, want 1: the reader that stopped is kept", open)
		}
		readReplyAgain(t, steady)
	}
}

// readReplyAgain keeps a connection busy while a test waits for another one.
func readReplyAgain(t *testing.T, c net.Conn) {
	t.Helper()
	if _, err := c.Write(numbered(1)); err != nil {
		t.Fatal(err)
	}
	readReply(t, c)
}

func gauge(t *testing.T, r *running) float64 {
	t.Helper()
	families, err := r.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "odradek_wire_connections" {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	return -1
}

func TestShutdown_RepliesToWhatWasReadLeave(t *testing.T) {
	admitted := make(chan struct{}, 2)
	drained := make(chan struct{})
	r := serve(t, func(_ context.Context, conn *api.Conn, f *api.Frame) (api.Reply, error) {
		admitted <- struct{}{}
		return func(context.Context) (net.Buffers, error) {
			stop := make(chan struct{})
			defer conn.OnDrain(func() { close(stop) })()
			<-stop
			return net.Buffers{f.Bytes}, nil
		}, nil
	}, 1<<20, nil)
	c := r.dial(t)
	_, _ = c.Write(append(numbered(1), numbered(2)...))
	<-admitted
	<-admitted
	go func() {
		defer close(drained)
		if err := r.stop(); err != nil {
			t.Errorf("serve: %v", err)
		}
	}()
	for i := 1; i <= 2; i++ {
		if got, want := string(readReply(t, c)), fmt.Sprintf("%08d", i); got != want {
			t.Errorf("answered %s, want %s", got, want)
		}
	}
	closedByServer(t, c)
	<-drained
	if _, err := net.Dial("tcp", r.addr); err == nil {
		t.Error("the listener is still open")
	}
}

func TestShutdown_GivesUpRepliesThatDoNotCome(t *testing.T) {
	admitted := make(chan struct{})
	r := serve(t, func(context.Context, *api.Conn, *api.Frame) (api.Reply, error) {
		close(admitted)
		return func(ctx context.Context) (net.Buffers, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}, nil
	}, 1<<20, func(c *wire.Config) { c.DrainTimeout = 50 * time.Millisecond })
	c := r.dial(t)
	_, _ = c.Write(numbered(1))
	<-admitted
	if err := r.stop(); err != nil {
		t.Errorf("serve: %v", err)
	}
	closedByServer(t, c)
}

func TestIdle_ASilentConnectionIsClosedAndAWaitingOneIsNot(t *testing.T) {
	release := make(chan struct{})
	r := serve(t, func(_ context.Context, _ *api.Conn, f *api.Frame) (api.Reply, error) {
		return func(context.Context) (net.Buffers, error) {
			<-release
			return net.Buffers{f.Bytes}, nil
		}, nil
	}, 1<<20, func(c *wire.Config) { c.IdleTimeout = 50 * time.Millisecond })
	waiting := r.dial(t)
	_, _ = waiting.Write(numbered(1))
	closedByServer(t, r.dial(t)) // takes longer than the idle time of the other
	closedByServer(t, r.dial(t))
	close(release)
	readReply(t, waiting)
}

func TestDisconnect_EndsTheRepliesThatWait(t *testing.T) {
	waiting, ended := make(chan struct{}), make(chan struct{})
	r := serve(t, func(context.Context, *api.Conn, *api.Frame) (api.Reply, error) {
		return func(ctx context.Context) (net.Buffers, error) {
			close(waiting)
			<-ctx.Done()
			close(ended)
			return nil, ctx.Err()
		}, nil
	}, 1<<20, nil)
	c := r.dial(t)
	_, _ = c.Write(numbered(1))
	<-waiting
	_ = c.Close()
	<-ended
}

func TestConnections_AboveTheLimitAreClosed(t *testing.T) {
	r := serve(t, echo, 1<<20, func(c *wire.Config) { c.MaxConnections = 1 })
	first := r.dial(t)
	_, _ = first.Write(numbered(1))
	readReply(t, first)
	closedByServer(t, r.dial(t))
	_, _ = first.Write(numbered(2))
	readReply(t, first)
}

func TestReply_BuffersArriveWhole(t *testing.T) {
	var want []byte
	var parts net.Buffers
	for i := range 3000 { // more than one vectored write takes, and over 1 MiB
		part := bytes.Repeat([]byte{byte(i)}, i)
		parts = append(parts, part)
		want = append(want, part...)
	}
	r := serve(t, func(context.Context, *api.Conn, *api.Frame) (api.Reply, error) {
		return func(context.Context) (net.Buffers, error) { return append(net.Buffers(nil), parts...), nil }, nil
	}, 1<<20, nil)
	c := r.dial(t)
	_, _ = c.Write(numbered(1))
	if got := readReply(t, c); !bytes.Equal(got, want) {
		t.Errorf("%d bytes arrived, want %d, or others", len(got), len(want))
	}
}
