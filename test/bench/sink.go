package main

import (
	"encoding/xml"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// keepBytes is the largest body that the sink keeps whole; of larger ones it keeps the end, where footers are.
const keepBytes = 64 << 10

// object is what the sink remembers of a PUT.
type object struct {
	size int64
	tail []byte
}

// store is a null S3: it honours If-None-Match, remembers sizes and the ends of objects, and throws the rest away.
type store struct {
	least, most time.Duration // between which a PUT takes, drawn evenly
	puts        atomic.Int64
	waited      atomic.Int64 // nanoseconds that PUTs took together

	mu      sync.Mutex // guards objects
	objects map[string]object
}

// sink serves a null bucket named b until it is killed.
func sink(args []string) error {
	fs := flag.NewFlagSet("sink", flag.ExitOnError)
	addr := fs.String("addr", "127.0.0.1:0", "where to listen")
	least := fs.Duration("least", 0, "least time of a PUT")
	most := fs.Duration("most", 0, "longest time of a PUT")
	fs.Parse(args)
	s := &store{least: *least, most: max(*least, *most), objects: make(map[string]object)}
	return http.ListenAndServe(*addr, s)
}

func (s *store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	key := strings.TrimPrefix(r.URL.Path, "/b/")
	switch {
	case r.URL.Path == "/count":
		fmt.Fprint(w, s.puts.Load(), s.waited.Load())
	case r.Method == http.MethodPut:
		s.put(w, r, key)
	case r.Method == http.MethodDelete:
		s.mu.Lock()
		delete(s.objects, key)
		s.mu.Unlock()
		w.WriteHeader(http.StatusNoContent)
	case r.URL.Query().Has("list-type"):
		fmt.Fprint(w, xml.Header+`<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>`)
	default:
		s.get(w, r, key)
	}
}

func (s *store) put(w http.ResponseWriter, r *http.Request, key string) {
	began := time.Now()
	tail, size := readTail(r.Body)
	time.Sleep(s.least + rand.N(s.most-s.least+1) - time.Since(began))
	s.puts.Add(1)
	s.waited.Add(int64(time.Since(began)))
	s.mu.Lock()
	_, exists := s.objects[key]
	if !exists || r.Header.Get("If-None-Match") == "" {
		s.objects[key] = object{size, tail}
	}
	s.mu.Unlock()
	if exists && r.Header.Get("If-None-Match") != "" {
		w.WriteHeader(http.StatusPreconditionFailed)
		fmt.Fprint(w, xml.Header+`<Error><Code>PreconditionFailed</Code></Error>`)
		return
	}
	w.Header().Set("ETag", `"x"`)
}

var buffers = sync.Pool{New: func() any { b := make([]byte, 256<<10); return &b }}

// readTail reads a body to its end and keeps what the sink remembers of it.
func readTail(r io.Reader) (tail []byte, size int64) {
	b := *buffers.Get().(*[]byte)
	defer buffers.Put(&b)
	for {
		n, err := r.Read(b)
		size += int64(n)
		tail = append(tail, b[max(0, n-keepBytes):n]...)
		if over := len(tail) - keepBytes; over > 0 {
			tail = append(tail[:0], tail[over:]...)
		}
		if err != nil {
			return tail, size
		}
	}
}

func (s *store) get(w http.ResponseWriter, r *http.Request, key string) {
	s.mu.Lock()
	o, ok := s.objects[key]
	s.mu.Unlock()
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		if r.Method != http.MethodHead {
			fmt.Fprint(w, xml.Header+`<Error><Code>NoSuchKey</Code></Error>`)
		}
		return
	}
	body := o.tail
	status := http.StatusOK
	if last, ok := strings.CutPrefix(r.Header.Get("Range"), "bytes=-"); ok {
		if n, err := strconv.Atoi(last); err == nil && n < len(body) {
			body = body[len(body)-n:]
		}
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", o.size-int64(len(body)), o.size-1, o.size))
		status = http.StatusPartialContent
	}
	w.Header().Set("Last-Modified", time.Now().UTC().Format(http.TimeFormat))
	if r.Method == http.MethodHead {
		w.Header().Set("Content-Length", strconv.FormatInt(o.size, 10))
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	w.Write(body)
}
