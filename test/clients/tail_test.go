package clients

import "sync"

// tail keeps the end of what a process prints. It is safe for concurrent use.
type tail struct {
	mu  sync.Mutex // guards end
	end []byte
}

const tailSize = 8 << 10

func (l *tail) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.end = append(l.end, b...)
	if len(l.end) > tailSize {
		l.end = append([]byte(nil), l.end[len(l.end)-tailSize:]...)
	}
	return len(b), nil
}

func (l *tail) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.end)
}
