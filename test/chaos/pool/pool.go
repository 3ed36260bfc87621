package pool

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/objectstore/bucket"
	"github.com/odradek/odradek/test/chaos/link"
	"github.com/odradek/odradek/test/harness"
	"github.com/odradek/odradek/test/servers"
)

// The stores that a pool may have.
const (
	MinIO     = "minio"
	Directory = "file"
)

// Options say how a pool is started.
type Options struct {
	Dir    string   // keeps data, logs and the bucket's directory
	Store  string   // MinIO or Directory
	Agents int      // how many at first
	Flags  []string // more, for each agent
	Small  int64    // bytes of a disk of its own for the first agent's data; 0: it has none
}

// Pool is some agents on one bucket and one Redis.
type Pool struct {
	Redis *Redis

	t     *harness.Program
	o     Options
	store *servers.S3Server // nil with a directory

	mu     sync.Mutex // guards agents
	agents []*Agent
}

// Start starts Redis, the bucket and the agents, and waits until all are ready. What cannot be started ends the program.
func Start(t *harness.Program, o Options) *Pool {
	p := &Pool{t: t, o: o}
	if o.Store == MinIO {
		p.store = servers.OwnMinIO(t)
	}
	p.Redis = startRedis(t, filepath.Join(o.Dir, "redis"))
	p.Redis.pool = p
	for range o.Agents {
		p.Add().Launch()
	}
	if err := p.WaitReady(2 * time.Minute); err != nil {
		t.Fatalf("%v", err)
	}
	return p
}

// Agents gives all agents, also those that left, by name.
func (p *Pool) Agents() []*Agent {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]*Agent(nil), p.agents...)
}

// Members gives the agents that did not leave.
func (p *Pool) Members() []*Agent {
	var out []*Agent
	for _, a := range p.Agents() {
		if !a.Left() {
			out = append(out, a)
		}
	}
	return out
}

// Seeds are the addresses that clients begin with.
func (p *Pool) Seeds() []string {
	var out []string
	for _, a := range p.Members() {
		out = append(out, a.Client.Addr)
	}
	return out
}

// Add prepares one more agent, that the caller launches.
func (p *Pool) Add() *Agent {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.agents) + 1
	a := &Agent{Name: fmt.Sprintf("a%d", n), Zone: fmt.Sprintf("z%d", n), Addr: harness.FreeAddr(p.t)}
	a.log = filepath.Join(p.o.Dir, a.Name+".log")
	a.Client = p.listen(a.Addr)
	a.Redis = p.listen(p.Redis.Addr())
	where, env := p.bucketOf(a, n)
	a.data = filepath.Join(p.o.Dir, a.Name)
	if n == 1 && p.o.Small > 0 {
		d, err := mount(a.data, p.o.Small)
		if err != nil {
			p.t.Fatalf("%v", err)
		}
		a.small = d
		p.t.Cleanup(func() { // after the process is gone
			if err := d.unmount(); err != nil {
				p.t.Errorf("unmount %s: %v", a.data, err)
			}
		})
	}
	flags := append([]string{"--advertise", a.Client.Addr, "--zone", a.Zone, "--set", "group.initial.rebalance.delay.ms=300"}, p.o.Flags...)
	a.process = harness.New(p.t, harness.Options{
		Bucket: where, Redis: "redis://" + a.Redis.Addr, DataDir: a.data, Env: env, Flags: flags, Addr: a.Addr, Log: a.log,
	})
	a.HTTP = a.process.HTTP
	p.agents = append(p.agents, a)
	return a
}

func (p *Pool) listen(target string) *link.TCP {
	l, err := link.Listen(target)
	if err != nil {
		p.t.Fatalf("listen: %v", err)
	}
	p.t.Cleanup(l.Close)
	return l
}

// bucketOf gives the n-th agent its way to the bucket. Every second one uses the other of the two S3 clients.
func (p *Pool) bucketOf(a *Agent, n int) (where string, env []string) {
	if p.store == nil {
		return p.direct(), nil
	}
	h, err := link.ListenHTTP(strings.TrimPrefix(p.store.Endpoint, "http://"))
	if err != nil {
		p.t.Fatalf("listen: %v", err)
	}
	p.t.Cleanup(h.Close)
	a.Bucket = h
	through := *p.store
	through.Endpoint = "http://" + h.Addr
	if n%2 == 0 {
		return through.URL("pool"), p.store.Env()
	}
	return through.MinioURL("pool"), p.store.Env()
}

// direct is the bucket's URL without a link.
func (p *Pool) direct() string {
	if p.store != nil {
		return p.store.MinioURL("pool")
	}
	u := url.URL{Scheme: "file", Path: filepath.Join(p.o.Dir, "bucket")}
	return u.String()
}

// Bucket opens the bucket to read, around all links.
func (p *Pool) Bucket(ctx context.Context) (objectstore.Store, error) {
	if p.store != nil {
		for _, e := range p.store.Env() {
			name, value, _ := strings.Cut(e, "=")
			os.Setenv(name, value)
		}
	}
	store, _, err := bucket.OpenToRead(ctx, p.direct())
	return store, err
}

// Mend ends all that was done to links, servers and agents, and starts the members that are down.
func (p *Pool) Mend() {
	p.Redis.Mend()
	for _, a := range p.Agents() {
		a.mend()
		a.Signal(syscall.SIGCONT)
		if !a.Left() && !a.Running() {
			a.Launch()
		}
	}
}

// WaitReady waits until every member is ready.
func (p *Pool) WaitReady(limit time.Duration) error {
	deadline := time.Now().Add(limit)
	for _, a := range p.Members() {
		for !a.Ready() {
			if time.Now().After(deadline) {
				return fmt.Errorf("%s is not ready after %v:\n%s", a.Name, limit, a.Tail())
			}
			if !a.Running() {
				return fmt.Errorf("%s ended before it was ready:\n%s", a.Name, a.Tail())
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	return nil
}

// Metric adds up a metric over the agents that answer.
func (p *Pool) Metric(name string) float64 {
	sum := 0.0
	for _, a := range p.Members() {
		if !a.Up() {
			continue
		}
		if v, err := harness.Scrape(a.HTTP, name); err == nil {
			sum += v
		}
	}
	return sum
}
