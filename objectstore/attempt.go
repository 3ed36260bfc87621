package objectstore

import (
	"context"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync"
)

// Attempts takes note of requests as they leave for a bucket: a call may send none, one or, where a client repeats it or
// lists page by page, several. Safe for concurrent use.
type Attempts interface {
	// Sent says that a request left, with a body of so many bytes. It says nothing of an answer.
	Sent(kind Kind, bytes int64)
	// Received says that so many bytes of an object came with an answer.
	Received(kind Kind, bytes int64)
}

// Attempting is a Store that tells Attempts of each request it sends. What sends none over a network is no such store, and a
// call to it is one request; a wrapper passes the question on.
type Attempting interface{ TellsAttempts() bool }

// TellsAttempts says whether a store tells the Attempts in a call's context of each request.
func TellsAttempts(s Store) bool {
	a, ok := s.(Attempting)
	return ok && a.TellsAttempts()
}

type attemptsKey struct{}

// WithAttempts has the requests of calls below ctx told to a.
func WithAttempts(ctx context.Context, a Attempts) context.Context {
	return context.WithValue(ctx, attemptsKey{}, a)
}

// Attempt sends a request by do and tells the Attempts in its context, if there are any. A request that no byte of left,
// such as one whose connection was refused, is none. Where net/http repeats a request by itself, as on a connection that the
// server had closed, it is one: the server saw one.
func Attempt(r *http.Request, do func(*http.Request) (*http.Response, error)) (*http.Response, error) {
	attempts, ok := r.Context().Value(attemptsKey{}).(Attempts)
	if !ok {
		return do(r)
	}
	kind := KindOfRequest(r)
	var once sync.Once
	sent := func() { once.Do(func() { attempts.Sent(kind, sentBytes(kind, r)) }) }
	trace := &httptrace.ClientTrace{WroteRequest: func(w httptrace.WroteRequestInfo) {
		// One that was cancelled while it was written has left if it is larger than what is buffered before a write.
		if w.Err == nil || r.ContentLength > writeBuffer {
			sent()
		}
	}}
	answer, err := do(r.WithContext(httptrace.WithClientTrace(r.Context(), trace)))
	if err == nil {
		sent() // it was answered before it was written to its end
	}
	if err == nil && (kind == KindGet || kind == KindGetRange) && answer.StatusCode/100 == 2 {
		answer.Body = &countedBody{answer.Body, func(n int) { attempts.Received(kind, int64(n)) }}
	}
	return answer, err
}

// AttemptTransport makes an http.RoundTripper that does what Attempt does.
func AttemptTransport(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) { return Attempt(r, next.RoundTrip) })
}

// sentBytes is how much of an object a request carries: the list of parts that completes an upload is not of it.
func sentBytes(kind Kind, r *http.Request) int64 {
	if kind != KindCreate && kind != KindPart {
		return 0
	}
	return max(0, r.ContentLength)
}

// KindOfRequest tells what a request of S3's protocol is billed as. What is no request of a Store counts as a Get, as S3
// bills all that it does not name.
func KindOfRequest(r *http.Request) Kind {
	query := r.URL.Query()
	switch r.Method {
	case http.MethodPut:
		if query.Has("partNumber") {
			return KindPart
		}
		return KindCreate
	case http.MethodPost:
		if query.Has("uploads") {
			return KindUpload
		}
		return KindComplete
	case http.MethodDelete:
		if query.Has("uploadId") {
			return KindAbort
		}
		return KindDelete
	case http.MethodHead:
		return KindHead
	}
	if query.Has("list-type") || query.Has("uploads") {
		return KindList
	}
	if r.Header.Get("Range") != "" {
		return KindGetRange
	}
	return KindGet
}

// countedBody tells how much of an answer was read.
type countedBody struct {
	io.ReadCloser
	read func(int)
}

// Read implements io.Reader.
func (c *countedBody) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	if n > 0 {
		c.read(n)
	}
	return n, err
}
