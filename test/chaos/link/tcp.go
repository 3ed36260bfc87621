package link

import (
	"io"
	"net"
	"sync"
	"time"
)

// TCP passes connections on to a server.
type TCP struct {
	Addr string // where clients connect to

	listener net.Listener
	wg       sync.WaitGroup

	mu        sync.Mutex // guards all below
	target    string
	refuse    bool          // connections end at once
	delay     time.Duration // of each piece, either way
	open      chan struct{} // closed while what is sent passes
	swallowed bool          // open is not closed
	conns     map[net.Conn]struct{}
}

// Listen stands before target, a host:port.
func Listen(target string) (*TCP, error) { return ListenOn("127.0.0.1:0", target) }

// ListenOn is Listen on an address of the caller's.
func ListenOn(addr, target string) (*TCP, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	p := &TCP{Addr: l.Addr().String(), target: target, listener: l, open: make(chan struct{}), conns: make(map[net.Conn]struct{})}
	close(p.open)
	p.wg.Go(p.accept)
	return p, nil
}

// Close ends the link and all connections.
func (p *TCP) Close() {
	p.listener.Close()
	p.Cut()
	p.release()
	p.wg.Wait()
}

// Cut ends all connections and refuses new ones, as a server that is down.
func (p *TCP) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = true
	p.resetAll()
}

// Swallow holds back all that is sent either way, as a network that loses packets.
func (p *TCP) Swallow() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.swallowed {
		p.swallowed, p.open = true, make(chan struct{})
	}
}

// Delay holds each piece back for a while, either way.
func (p *TCP) Delay(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

// Mend passes everything on again.
func (p *TCP) Mend() {
	p.mu.Lock()
	p.refuse, p.delay = false, 0
	p.mu.Unlock()
	p.release()
}

// Point ends all connections and sends new ones to another server.
func (p *TCP) Point(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
	p.resetAll()
}

// Target is the server that connections go to.
func (p *TCP) Target() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.target
}

func (p *TCP) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.swallowed {
		p.swallowed = false
		close(p.open)
	}
}

func (p *TCP) resetAll() {
	for c := range p.conns {
		reset(c)
	}
}

func (p *TCP) accept() {
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() { p.serve(c) })
	}
}

func (p *TCP) serve(c net.Conn) {
	defer c.Close()
	target, ok := p.enter(c)
	if !ok {
		reset(c)
		return
	}
	defer p.leave(c)
	s, err := net.DialTimeout("tcp", target, 5*time.Second)
	if err != nil {
		reset(c)
		return
	}
	defer s.Close()
	var both sync.WaitGroup
	both.Go(func() { p.pump(s, c) })
	both.Go(func() { p.pump(c, s) })
	both.Wait()
}

// pump copies until from ends, and then ends what to reads.
func (p *TCP) pump(to, from net.Conn) {
	b := make([]byte, 64<<10)
	for {
		n, err := from.Read(b)
		p.mu.Lock()
		open, delay := p.open, p.delay
		p.mu.Unlock()
		<-open
		if delay > 0 {
			time.Sleep(delay)
		}
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

func (p *TCP) enter(c net.Conn) (target string, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.refuse {
		p.conns[c] = struct{}{}
	}
	return p.target, !p.refuse
}

func (p *TCP) leave(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}

// reset closes a connection so that the other side sees an error and not an end.
func reset(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		t.SetLinger(0)
	}
	c.Close()
}
