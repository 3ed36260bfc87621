//go:build linux

package crash

import (
	"io"
	"net"
	"sync"
	"testing"
)

// proxy passes TCP connections on to a server until it is cut.
type proxy struct {
	addr     string // where clients connect to
	target   string
	direct   string // URL of the bucket behind it, around it
	listener net.Listener
	wg       sync.WaitGroup

	mu      sync.Mutex // guards all below
	refuse  bool       // connections end at once
	open    chan struct{}
	blocked bool // open is not closed: what was sent is held back
	conns   map[net.Conn]struct{}
}

// startProxy stands before target, a host:port, until the test ends.
func startProxy(t *testing.T, target string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{addr: l.Addr().String(), target: target, listener: l, open: make(chan struct{}), conns: make(map[net.Conn]struct{})}
	close(p.open)
	p.wg.Go(p.accept)
	t.Cleanup(func() {
		l.Close()
		p.cutOff()
		p.mend()
		p.wg.Wait()
	})
	return p
}

// cutOff ends all connections and refuses new ones, as a server that is down.
func (p *proxy) cutOff() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = true
	for c := range p.conns {
		reset(c)
	}
}

// blackhole holds back all that is sent either way, as a network that swallows packets. What was held back goes on when
// the proxy is mended, even if its sender is dead by then.
func (p *proxy) blackhole() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.blocked {
		p.blocked, p.open = true, make(chan struct{})
	}
}

// mend passes everything on again.
func (p *proxy) mend() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = false
	if p.blocked {
		p.blocked = false
		close(p.open)
	}
}

func (p *proxy) accept() {
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() { p.serve(c) })
	}
}

func (p *proxy) serve(c net.Conn) {
	defer c.Close()
	if !p.enter(c) {
		reset(c)
		return
	}
	defer p.leave(c)
	s, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	defer s.Close()
	var both sync.WaitGroup
	both.Go(func() { p.pump(s, c) })
	both.Go(func() { p.pump(c, s) })
	both.Wait()
}

// pump copies until from ends, and then ends what to reads.
func (p *proxy) pump(to, from net.Conn) {
	b := make([]byte, 64<<10)
	for {
		n, err := from.Read(b)
		p.mu.Lock()
		open := p.open
		p.mu.Unlock()
		<-open
		if n > 0 {
			if _, werr := to.Write(b[:n]); werr != nil {
				err = werr
			}
		}
		if err == io.EOF {
			to.(*net.TCPConn).CloseWrite()
			return
		}
		if err != nil {
			to.Close()
			from.Close()
			return
		}
	}
}

func (p *proxy) enter(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.refuse {
		p.conns[c] = struct{}{}
	}
	return !p.refuse
}

func (p *proxy) leave(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}

// reset closes a connection so that the other side sees an error and not an end.
func reset(c net.Conn) {
	c.(*net.TCPConn).SetLinger(0)
	c.Close()
}
