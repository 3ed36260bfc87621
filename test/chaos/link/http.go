package link

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Trouble is what a link to a bucket does to a request.
type Trouble string

// The troubles. Each is done to a part of the requests it fits.
const (
	Slow     Trouble = "slow"     // the request waits up to a second and a half
	Storm    Trouble = "503s"     // 503 SlowDown, nothing is done
	Deaf     Trouble = "deaf"     // a PUT is done and the answer never comes
	Reset    Trouble = "reset"    // a PUT is done, and instead of an answer the connection is reset
	Late     Trouble = "late"     // a PUT is held: the sender gets a reset, the bucket gets the PUT much later
	Truncate Trouble = "truncate" // a GET's body ends early
	Flip     Trouble = "flip"     // a GET's body has one bit turned
)

// HTTP is a link to a bucket. Cut, Swallow and Delay are those of the TCP link before it.
type HTTP struct {
	*TCP // agents connect to its Addr

	target string
	server *http.Server
	client *http.Transport
	wg     sync.WaitGroup // the server, and PUTs that are held

	mu      sync.Mutex // guards all below
	trouble Trouble    // empty: none
	part    float64    // of the requests that the trouble fits
	late    time.Duration
	landed  func(status int) // is told of each held PUT that the bucket answered
	done    map[Trouble]int
}

// ListenHTTP stands before target, the host:port of a server that speaks HTTP. Requests keep their Host, which is signed.
func ListenHTTP(target string) (*HTTP, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	h := &HTTP{target: target, client: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64}, done: make(map[Trouble]int)}
	h.server = &http.Server{Handler: http.HandlerFunc(h.serve)}
	h.wg.Go(func() { h.server.Serve(l) })
	if h.TCP, err = Listen(l.Addr().String()); err != nil {
		l.Close()
		return nil, err
	}
	return h, nil
}

// Close ends the link. PUTs that are held are delivered first.
func (h *HTTP) Close() {
	h.TCP.Close()
	h.server.Close()
	h.wg.Wait()
	h.client.CloseIdleConnections()
}

// Do makes trouble for a part of the requests, until Behave.
func (h *HTTP) Do(t Trouble, part float64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.trouble, h.part = t, part
}

// Hold makes the trouble Late, for a part of the PUTs: they are delivered after a time, and landed, if it is not nil, is told
// the status that the bucket answered with, on a goroutine of the link.
func (h *HTTP) Hold(part float64, after time.Duration, landed func(status int)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.trouble, h.part, h.late, h.landed = Late, part, after, landed
}

// Behave ends the trouble. PUTs that are held stay held.
func (h *HTTP) Behave() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.trouble = ""
}

// Done says how many requests met each trouble so far.
func (h *HTTP) Done() map[Trouble]int {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := make(map[Trouble]int, len(h.done))
	for t, n := range h.done {
		out[t] = n
	}
	return out
}

// draw decides what happens to a request.
func (h *HTTP) draw(method string) (Trouble, time.Duration, func(status int)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	fits := true
	switch h.trouble {
	case "":
		return "", 0, nil
	case Deaf, Reset, Late:
		fits = method == http.MethodPut
	case Truncate, Flip:
		fits = method == http.MethodGet
	}
	if !fits || rand.Float64() >= h.part {
		return "", 0, nil
	}
	h.done[h.trouble]++
	return h.trouble, h.late, h.landed
}

func (h *HTTP) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	trouble, late, landed := h.draw(r.Method)
	switch trouble {
	case Slow:
		time.Sleep(rand.N(1500 * time.Millisecond))
	case Storm:
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(http.StatusServiceUnavailable)
		io.WriteString(w, "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>")
		return
	case Late:
		h.wg.Go(func() {
			time.Sleep(late)
			if answer, _, err := h.pass(context.Background(), r, body); err == nil && landed != nil {
				landed(answer.StatusCode)
			}
		})
		panic(http.ErrAbortHandler)
	}
	// The bucket gets it whole whatever becomes of the sender: only the links lose things here.
	answer, reply, err := h.pass(context.WithoutCancel(r.Context()), r, body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	switch trouble {
	case Reset:
		panic(http.ErrAbortHandler)
	case Deaf:
		select {
		case <-r.Context().Done():
		case <-time.After(time.Minute):
		}
		panic(http.ErrAbortHandler)
	case Flip:
		if len(reply) > 0 {
			reply[rand.IntN(len(reply))] ^= 1 << rand.IntN(8)
		}
	}
	for name, values := range answer.Header {
		w.Header()[name] = values
	}
	if r.Method != http.MethodHead {
		w.Header().Set("Content-Length", strconv.Itoa(len(reply)))
	}
	w.WriteHeader(answer.StatusCode)
	if trouble == Truncate && len(reply) > 1 {
		w.Write(reply[:rand.IntN(len(reply))])
		panic(http.ErrAbortHandler)
	}
	w.Write(reply)
}

// pass sends a request on and reads the whole answer.
func (h *HTTP) pass(ctx context.Context, r *http.Request, body []byte) (*http.Response, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	out := r.Clone(ctx)
	out.RequestURI = ""
	out.URL.Scheme, out.URL.Host = "http", h.target
	out.Body, out.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	if len(body) == 0 {
		out.Body = http.NoBody
	}
	out.TransferEncoding = nil
	out.Header.Del("Expect")
	answer, err := h.client.RoundTrip(out)
	if err != nil {
		return nil, nil, err
	}
	defer answer.Body.Close()
	reply, err := io.ReadAll(answer.Body)
	return answer, reply, err
}
