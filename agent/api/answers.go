package api

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
)

const (
	leastAnswer = 1 << 20                // records in the first answer of a connection; it grows while they leave at once
	atOnce      = time.Second            // an answer that took longer to leave went to a slow reader
	tooSlow     = 5 * time.Second        // holding an answer so long while others wait costs the connection
	askAgain    = 500 * time.Millisecond // between looks for a slow reader, by one that waits
)

// answers bounds the records that fetch answers hold from when they are read until they have left: many of them are in
// no cache any more. Whoever finds no room waits, and the connection that has been writing its answer for longest is
// closed if it is slow: its client comes back, and honest ones do not starve meanwhile.
type answers struct {
	limit int64
	room  *semaphore.Weighted

	mu      sync.Mutex // guards writing
	writing map[*Conn]time.Time
}

func newAnswers(limit int64) *answers {
	return &answers{limit: limit, room: semaphore.NewWeighted(limit), writing: make(map[*Conn]time.Time)}
}

// granted is the memory of one answer.
type granted struct {
	from *answers
	conn *Conn
	n    int64
}

// grant gives as much of want as the connection's pace and the memory allow, waiting for a part of it if there is none.
func (a *answers) grant(ctx context.Context, conn *Conn, want int) (*granted, error) {
	n := min(int64(want), int64(conn.allowed()), a.limit)
	least := min(n, leastAnswer)
	for n > least && !a.room.TryAcquire(n) {
		n = max(n/2, least)
	}
	if n == least {
		if err := a.wait(ctx, n); err != nil {
			return nil, err
		}
	}
	a.hold(conn)
	return &granted{a, conn, n}, nil
}

// settle corrects what is held to what was read. A batch that is larger than what was granted is read all the same.
func (g *granted) settle(n int) {
	switch more := min(int64(n), g.from.limit) - g.n; {
	case more < 0:
		g.from.room.Release(-more)
		g.n += more
	case g.from.room.TryAcquire(more):
		g.n += more
	}
}

// release gives everything back.
func (g *granted) release() {
	g.from.leave(g.conn)
	g.from.room.Release(g.n)
}

// wait waits for room, and makes some.
func (a *answers) wait(ctx context.Context, n int64) error {
	if a.room.TryAcquire(n) {
		return nil
	}
	waiting, got := context.WithCancel(ctx)
	defer got()
	var look func()
	look = func() {
		if waiting.Err() != nil {
			return
		}
		if slow := a.slowest(); slow != nil && slow.GiveUp != nil {
			slow.GiveUp()
		}
		time.AfterFunc(askAgain, look)
	}
	time.AfterFunc(askAgain, look)
	return a.room.Acquire(ctx, n)
}

func (a *answers) hold(conn *Conn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.writing[conn] = time.Now()
}

func (a *answers) leave(conn *Conn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.writing, conn)
}

// slowest finds the connection that has held its answer for longest, if that is too long, and takes it off the list.
func (a *answers) slowest() *Conn {
	a.mu.Lock()
	defer a.mu.Unlock()
	var slow *Conn
	oldest := time.Now().Add(-tooSlow)
	for conn, since := range a.writing {
		if since.Before(oldest) {
			slow, oldest = conn, since
		}
	}
	delete(a.writing, slow)
	return slow
}

// allowed is how many bytes of records the connection's next answer may have. The writer's goroutine asks.
func (c *Conn) allowed() int {
	if c.pace == 0 {
		c.pace = leastAnswer
	}
	return c.pace
}

// Sent is told by the writer that a reply of n bytes has left, and how long that took: who reads fast gets large
// answers, and many who read slowly do not hold much.
func (c *Conn) Sent(n int, took time.Duration) {
	switch {
	case took > atOnce:
		c.pace = max(c.allowed()/4, leastAnswer)
	case n >= c.allowed()/2:
		c.pace = min(c.allowed()*2, 1<<30)
	}
}
