package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"

	"github.com/odradek/odradek/agent/place"
	"github.com/odradek/odradek/agent/settings"
	"github.com/odradek/odradek/control"
	metafaulty "github.com/odradek/odradek/metadata/faulty"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/objectstore/faulty"
	"github.com/odradek/odradek/objectstore/meter"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
	"github.com/odradek/odradek/wal"
)

// machine is what outlives a process: a disk, a zone, a name.
type simMachine struct {
	name, zone, dir string
}

// process is an agent from its start to its death: sessions one after the other, on links of its own.
type simProcess struct {
	p      *simPool
	on     *simMachine
	name   string
	bucket *faulty.Store
	meta   *metafaulty.Store
	cancel context.CancelFunc
	done   chan struct{}

	mu      sync.Mutex // guards all below
	rand    *rand.Rand // of the scripts
	weather simWeather
	held    time.Time // until then its calls stand still
	door    *simDoor  // of the session of the moment
	now     *session  // that serves
	dead    bool
}

// weather is how often calls of a process fail, and how.
type simWeather struct {
	bucket, meta float64       // share of the calls that fail
	slow         time.Duration // more, at most
}

func (p *simPool) newDisk() *simMachine {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.disks++
	m := &simMachine{name: fmt.Sprintf("m%d", p.disks), zone: fmt.Sprintf("z%d", p.disks%2)}
	m.dir = filepath.Join(p.dir, m.name)
	return m
}

// start starts an agent on a machine whose former agent is dead.
func (p *simPool) start(m *simMachine) *simProcess {
	p.mu.Lock()
	x := &simProcess{p: p, on: m, name: fmt.Sprintf("%s.%d", m.name, len(p.processes)), done: make(chan struct{})}
	p.processes = append(p.processes, x)
	p.mu.Unlock()
	x.rand = p.draws("links of " + x.name)
	x.bucket = faulty.Unrecorded(p.bucket, x.bucketScript)
	x.meta = p.world.Connect(x.metaScript)
	ctx, cancel := context.WithCancel(context.Background())
	x.cancel = cancel
	p.note("%s starts", x.name)
	go x.run(ctx)
	return x
}

// bucketScript is the weather between the process and the bucket.
func (x *simProcess) bucketScript(c faulty.Call) faulty.Fault {
	x.mu.Lock()
	defer x.mu.Unlock()
	f := faulty.Fault{Delay: x.delay(5*time.Millisecond, 40*time.Millisecond)}
	if *simCalls {
		x.p.say("%s: %s %s, %d bytes", x.name, c.Kind, c.Key, c.Size)
	}
	if x.rand.Float64() >= x.weather.bucket {
		return f
	}
	switch x.rand.IntN(5) {
	case 0, 1:
		f.Before = faulty.ErrRefused
	case 2:
		f.After = faulty.ErrLost
	case 3:
		if c.Kind == objectstore.KindCreate {
			f.Late = true
			time.AfterFunc(time.Duration(x.rand.Int64N(int64(time.Minute))), func() { x.bucket.Land(context.Background()) })
		}
	case 4:
		f.Delay += time.Duration(x.rand.Int64N(int64(8 * time.Second)))
	}
	return f
}

// metaScript is the weather between the process and the metadata store.
func (x *simProcess) metaScript(c metafaulty.Call) metafaulty.Fault {
	x.mu.Lock()
	defer x.mu.Unlock()
	f := metafaulty.Fault{Delay: x.delay(200*time.Microsecond, 2*time.Millisecond)}
	if *simCalls {
		x.p.say("%s: %s", x.name, c.Method)
	}
	if x.rand.Float64() >= x.weather.meta {
		return f
	}
	switch x.rand.IntN(3) {
	case 0:
		f.Before = metafaulty.ErrRefused
	case 1:
		f.After = metafaulty.ErrLost
	case 2:
		f.Delay += time.Duration(x.rand.Int64N(int64(3 * time.Second)))
	}
	return f
}

// delay is how long a call takes: to the nanosecond by chance, so that no two things happen at one moment. The lock is
// held.
func (x *simProcess) delay(least, most time.Duration) time.Duration {
	if x.p.near.Load() {
		least, most = least/100, most/100
	}
	d := least + time.Duration(x.rand.Int64N(int64(most-least+x.weather.slow)))
	if wait := time.Until(x.held); wait > 0 {
		d += wait
	}
	return d
}

func (x *simProcess) setWeather(w simWeather) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.weather = w
}

// hold lets nothing that the process asks for happen for a while, and nobody hears from it.
func (x *simProcess) hold(d time.Duration) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.held = time.Now().Add(d)
}

// resumed waits until the process is not held.
func (x *simProcess) resumed(ctx context.Context) {
	for ctx.Err() == nil {
		x.mu.Lock()
		wait := time.Until(x.held)
		x.mu.Unlock()
		if wait <= 0 {
			return
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}

// session is the one that serves, nil if none does.
func (x *simProcess) session() *session {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.dead {
		return nil
	}
	return x.now
}

func (x *simProcess) isDead() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.dead
}

// ask calls a session of the process as a client does over a network: not while it is held, and what it answers after its
// death nobody hears. It says whether there is an answer.
func (x *simProcess) ask(ctx context.Context, fn func(*session)) bool {
	x.resumed(ctx)
	s := x.session()
	if s == nil || ctx.Err() != nil {
		return false
	}
	fn(s)
	x.resumed(ctx)
	return !x.isDead()
}

// kill ends the process as SIGKILL does: from now on nothing that it does has an effect, but for what is in the network.
func (x *simProcess) kill() {
	x.mu.Lock()
	x.dead, x.now, x.held = true, nil, time.Time{}
	door := x.door
	x.mu.Unlock()
	x.bucket.Cut()
	x.meta.Cut()
	if door != nil {
		door.slam()
	}
	time.Sleep(time.Millisecond)
	x.cancel()
	<-x.done
}

// stop ends the process as SIGTERM does, and kills it if that takes too long.
func (x *simProcess) stop() {
	x.cancel()
	select {
	case <-x.done:
		x.mu.Lock()
		x.dead = true
		x.mu.Unlock()
		x.bucket.Cut()
		x.meta.Cut()
	case <-time.After(time.Minute):
		x.p.note("%s does not stop and is killed", x.name)
		x.kill()
	}
}

// run is agent.sessions with the process's own links.
func (x *simProcess) run(ctx context.Context) {
	defer close(x.done)
	a, err := x.open()
	if err != nil {
		x.p.wrong("%s cannot start: %v", x.name, err)
		return
	}
	defer a.disk.Close()
	for pause := retrySession; ctx.Err() == nil; pause = min(2*pause, retrySessionMost) {
		err := x.serve(ctx, a)
		if x.isDead() {
			return
		}
		x.ended(ctx, err)
		if !errors.Is(err, errNotOpened) {
			pause = retrySession
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// ended notes why a session is over.
func (x *simProcess) ended(ctx context.Context, err error) {
	why := "stopped"
	switch {
	case errors.Is(err, slotlog.ErrImpostor), err != nil && ctx.Err() == nil && !retriable(err):
		x.p.wrong("%s must stop for good: %v", x.name, err)
	case errors.Is(err, errNotOpened):
		why = "not opened"
	case errors.Is(err, slotlog.ErrFenced):
		why = "fenced"
		x.p.mu.Lock()
		x.p.fenced++
		x.p.mu.Unlock()
	case err != nil:
		why = "failed"
	}
	if *simTell {
		why += fmt.Sprintf(" (%v)", err)
	}
	x.p.note("%s: journal is over, %s", x.name, why)
}

// open makes the devices of an agent.
func (x *simProcess) open() (*agent, error) {
	set := settings.Defaults()
	set.Memory, set.WALSize, set.Flush.SlotsInFlight = 64<<20, 256<<10, 4
	set.Flush.Interval, set.Flush.Size = 100*time.Millisecond, 8<<10
	set.Flush.Compression = "none"
	set.Lease, set.DataDir = x.p.lease, x.on.dir
	set.Stores.Redis = "redis://simulated"
	set.Kafka = topic.Config{"offsets.topic.num.partitions": fmt.Sprint(simGroups), "log.retention.check.interval.ms": "1500"}
	registry := prometheus.NewRegistry()
	metered, err := meter.New(x.bucket, registry, meter.Free)
	if err != nil {
		return nil, err
	}
	disk, err := wal.OpenDirectory(x.on.dir, simDisk{})
	if err != nil {
		return nil, err
	}
	share := divide(set.Memory)
	a := &agent{
		settings: set, banner: io.Discard, registry: registry, store: metered, meta: x.meta, disk: disk,
		opened: make(map[topic.JournalID]bool),
		frames: semaphore.NewWeighted(share.frames), pending: semaphore.NewWeighted(share.pending),
		place: place.Place{Host: x.on.name, Port: 9092, Zone: x.on.zone}, elapsed: func() time.Duration { return time.Since(x.p.began) },
	}
	a.metrics = newMetrics(registry, a)
	a.compaction = x.p.simCompaction(&a.settings)
	return a, nil
}

// serve is one session, from boot to end.
func (x *simProcess) serve(ctx context.Context, a *agent) error {
	s := a.newSession()
	defer s.cluster.Stop()
	opened, rings, err := s.boot(ctx)
	if err != nil {
		return fmt.Errorf("%w: %w", errNotOpened, err)
	}
	defer s.wal.Close()
	x.p.note("%s: journal %s open, node %d, %d sealed", x.name, s.journal, opened.NodeID, len(opened.Sealed))
	x.p.book.opens(x, s.journal)
	if opened.Checkpoint > 0 {
		x.p.note("%s: its memory begins from checkpoint %d", x.name, opened.Checkpoint)
		x.p.book.extra[simBegunFrom].Add(1)
	}
	door := &simDoor{opened: func() { x.serves(s) }, closed: make(chan struct{})}
	x.mu.Lock()
	x.door = door
	dead := x.dead
	x.mu.Unlock()
	if dead {
		door.slam()
	}
	defer x.serves(nil)
	return s.run(ctx, door, opened, rings)
}

func (x *simProcess) serves(s *session) {
	x.mu.Lock()
	x.now = s
	x.mu.Unlock()
}

// door is a listener that nobody comes to: clients call the session itself.
type simDoor struct {
	opened func()
	once   sync.Once
	closed chan struct{}
}

// Accept implements net.Listener. The first call says that the agent serves.
func (d *simDoor) Accept() (net.Conn, error) {
	d.opened()
	<-d.closed
	return nil, net.ErrClosed
}

// Close implements net.Listener.
func (d *simDoor) Close() error {
	d.slam()
	return nil
}

func (d *simDoor) slam() { d.once.Do(func() { close(d.closed) }) }

// Addr implements net.Listener.
func (*simDoor) Addr() net.Addr { return &net.TCPAddr{} }

// simDisk is a disk that survives a process and no power loss, and whose files take no time to make.
type simDisk struct{ unsynced }

func (simDisk) Create(path string, size int64) (wal.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	if err := f.Truncate(size); err != nil {
		f.Close()
		return nil, err
	}
	return simFile{f}, nil
}

type simFile struct{ *os.File }

func (f simFile) WriteAt(parts [][]byte, offset int64) error {
	for _, part := range parts {
		if _, err := f.File.WriteAt(part, offset); err != nil {
			return err
		}
		offset += int64(len(part))
	}
	return nil
}

func (simFile) Sync() error { return nil }

// all lists the processes there ever were.
func (p *simPool) all() []*simProcess {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]*simProcess(nil), p.processes...)
}

// living lists the processes that are not dead.
func (p *simPool) living() []*simProcess {
	var out []*simProcess
	for _, x := range p.all() {
		if !x.isDead() {
			out = append(out, x)
		}
	}
	return out
}

// serving lists the processes that serve.
func (p *simPool) serving() []*simProcess {
	var out []*simProcess
	for _, x := range p.all() {
		if x.session() != nil {
			out = append(out, x)
		}
	}
	return out
}

// with finds the process whose session has a journal.
func (p *simPool) with(j topic.JournalID) *simProcess {
	for _, x := range p.all() {
		if s := x.session(); s != nil && s.journal == j {
			return x
		}
	}
	return nil
}

// state asks some agent for its picture of the cluster.
func (p *simPool) state(r *rand.Rand) *control.State {
	xs := p.serving()
	if len(xs) == 0 {
		return nil
	}
	if s := xs[r.IntN(len(xs))].session(); s != nil {
		return s.cluster.State()
	}
	return nil
}
