package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/odradek/odradek/agent/place"
	"github.com/odradek/odradek/agent/settings"
	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/metadata/redis"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/objectstore/bucket"
)

// What doctor thinks too much.
const (
	mostSkew       = 5 * time.Second        // between two clocks; S3 refuses what is signed 15 minutes off
	slowPut        = 500 * time.Millisecond // of a small object
	slowRedis      = 10 * time.Millisecond  // round trip
	slowSync       = 20 * time.Millisecond  // fsync of 4 KiB
	timedObjects   = 5
	timedSyncs     = 15
	leastFiles     = 4096 // open files: a connection each
	listenPatience = 2 * time.Second
)

// settings looks for what settings allow and people regret.
func (d *diagnosis) settings(s settings.Settings) {
	const part = "settings"
	before := len(d.Findings)
	alone := s.Stores.Redis == settings.RedisEmbedded
	listens, _, _ := net.SplitHostPort(s.Network.Listen)
	if !alone && loopback(listens) && s.Network.Advertise == settings.Auto {
		d.warn(part, "set --listen :9092, and --advertise if clients reach the machine under another address",
			"agents of a pool listen on %s only: clients and agents of other machines cannot connect", s.Network.Listen)
	}
	if !alone && strings.HasPrefix(s.Stores.Bucket, "file:") {
		d.warn(part, "use a bucket that all machines reach, s3:// or minio://",
			"a pool with the bucket in a directory: its agents must all be on this machine")
	}
	if strings.HasPrefix(s.Stores.Bucket, "memory:") {
		d.warn(part, "set --bucket", "the bucket is this process's memory: all records go with it")
	}
	http, _, _ := net.SplitHostPort(s.Network.HTTP)
	if s.Network.Pprof && !loopback(http) {
		d.warn(part, "ask for profiles on the machine itself, as 127.0.0.1",
			"--pprof with --http %s: profiles are answered to connections from loopback only", s.Network.HTTP)
	}
	if most := settings.Defaults().Memory * 2; s.Memory > most && most > 0 && s.Memory > 8*settings.GiB {
		d.warn(part, "lower --memory: the process takes two fifths more", "--memory %s is more than this machine has for it", s.Memory)
	}
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err == nil && files.Cur < leastFiles {
		d.warn(part, fmt.Sprintf("raise the limit (ulimit -n, LimitNOFILE) to %d or more", 16*leastFiles),
			"%d open files are allowed, and each connection is one", files.Cur)
	}
	if len(d.Findings) == before {
		d.ok(part, "nothing that people regret")
	}
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// bucket tries what agents do with a bucket.
func (d *diagnosis) bucket(ctx context.Context, s settings.Settings) {
	const part = "bucket"
	store, where, err := bucket.Open(ctx, s.Stores.Bucket)
	if err != nil {
		d.bad(part, "correct --bucket", "%v", oneLine(err))
		return
	}
	limited, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	key := "probe/" + random() + "/doctor"
	if _, err := store.Get(limited, key); !errors.Is(err, objectstore.ErrNotFound) {
		fix := "check that it is up, its address, and the network's way there"
		if err != nil && (strings.Contains(err.Error(), "403") || strings.Contains(err.Error(), "AccessDenied") || strings.Contains(err.Error(), "credential")) {
			fix = "give the role s3:GetObject, s3:PutObject and s3:ListBucket (without the last S3 answers 403 for keys that do not exist), and check the credentials"
		}
		if err != nil && strings.Contains(err.Error(), "NoSuchBucket") {
			fix = "create the bucket, or correct its name"
		}
		d.bad(part, fix, "%s: a key that does not exist reads as: %v", where.Text, oneLine(errOr(err)))
		return
	}
	switch err := bucket.Probe(limited, store); {
	case errors.Is(err, bucket.ErrUnconditional):
		d.bad(part, "use a store with conditional writes: Amazon S3, MinIO, versitygw, a directory", "%s: %v", where.Text, oneLine(err))
		return
	case err != nil:
		d.bad(part, "allow s3:PutObject and s3:GetObject below probe/, and check the network", "%s: %v", where.Text, oneLine(err))
		return
	}
	d.ok(part, "%s: of 16 creators of one key one wins", where.Text)
	d.latency(limited, store, key)
	if err := store.List(limited, "control/", func(objectstore.Info) error { return errEnough }); err != nil && !errors.Is(err, errEnough) {
		d.bad(part, "allow s3:ListBucket", "it does not list: %v", oneLine(err))
	}
	d.skew(ctx, part, "the bucket's clock", func() (time.Time, error) { return objectstore.Date(ctx, store) })
	d.others(ctx, s, store)
}

var errEnough = errors.New("enough")

func errOr(err error) error {
	if err == nil {
		return errors.New("an object is there")
	}
	return err
}

func random() string {
	var id [8]byte
	rand.Read(id[:])
	return hex.EncodeToString(id[:])
}

// latency times a few small objects.
func (d *diagnosis) latency(ctx context.Context, store objectstore.Store, key string) {
	const part = "bucket"
	var puts, gets []time.Duration
	var deleted error
	for i := range timedObjects {
		k := key + strconv.Itoa(i)
		began := time.Now()
		if err := store.Create(ctx, k, objectstore.NewBody(make([]byte, 4096))); err != nil {
			d.bad(part, "allow s3:PutObject below probe/", "create: %v", oneLine(err))
			return
		}
		puts, began = append(puts, time.Since(began)), time.Now()
		if _, err := store.Get(ctx, k); err != nil {
			d.bad(part, "allow s3:GetObject", "get: %v", oneLine(err))
			return
		}
		gets = append(gets, time.Since(began))
		deleted = errors.Join(deleted, store.Delete(ctx, k))
	}
	put, get := middle(puts), middle(gets)
	if put > slowPut {
		d.warn(part, "use a bucket in the region of the agents, and a gateway endpoint for it", "a PUT of 4 KiB takes %s: acks=all waits for one", round(put))
	} else {
		d.ok(part, "a PUT of 4 KiB takes %s, a GET %s", round(put), round(get))
	}
	if deleted != nil {
		d.warn(part, "allow s3:DeleteObject where agents have the role compactor, and a lifecycle rule for probe/ where they have not",
			"it does not delete: %v", oneLine(deleted))
	}
}

func middle(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}

func round(t time.Duration) time.Duration { return t.Round(10 * time.Microsecond) }

// skew compares a clock with this machine's.
func (d *diagnosis) skew(_ context.Context, part, whose string, clock func() (time.Time, error)) {
	at, err := clock()
	if err != nil {
		d.warn(part, "nothing: retention by age then needs the other clocks to agree", "%s cannot be read: %v", whose, oneLine(err))
		return
	}
	off := time.Since(at)
	if off.Abs() > mostSkew+time.Second { // a Date has seconds
		d.bad(part, "run a time service (chrony, systemd-timesyncd) on this machine", "%s and this machine's differ by %s: requests may be refused, "+
			"and nothing is dropped by age unless two clocks agree", whose, off.Abs().Round(time.Second))
		return
	}
	d.ok(part, "%s agrees with this machine's", whose)
}

// others looks for agents that these settings do not go with.
func (d *diagnosis) others(ctx context.Context, s settings.Settings, store objectstore.Store) {
	const part = "cluster"
	st, err := state(ctx, store)
	if err != nil {
		d.bad(part, "look at it with `odradek verify`", "the control log cannot be read: %v", oneLine(err))
		return
	}
	if st.Next() == 0 {
		d.ok(part, "no cluster here yet: the first agent makes one")
		return
	}
	open := st.OpenJournals()
	if s.Stores.Redis == settings.RedisEmbedded && len(open) > 1 {
		d.bad(part, "set --redis as the others do", "%s have open journals, and this one has its index in memory: it is for one agent alone", count(int64(len(open)), "agent"))
		return
	}
	if taken := takenBy(open, s.NodeID); taken != "" && s.NodeID != settings.AutoNodeID {
		d.warn(part, "leave --node-id auto, or end that agent first", "node id %d is in use by journal %s", s.NodeID, taken)
	}
	d.ok(part, "cluster %s: %s, %s", st.ClusterID(), count(int64(len(open)), "open journal"), count(int64(st.PartitionCount()), "partition"))
}

func takenBy(open []*control.Journal, id int32) string {
	for _, j := range open {
		if j.NodeID == id {
			return j.ID.String()
		}
	}
	return ""
}

// redis asks Redis about itself.
func (d *diagnosis) redis(ctx context.Context, s settings.Settings) {
	const part = "redis"
	if s.Stores.Redis == settings.RedisEmbedded {
		d.ok(part, "none: the index is in this agent's memory, which is for one agent alone")
		return
	}
	limited, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	r, err := redis.Inspect(limited, redis.Config{URL: s.Stores.Redis, Password: s.Stores.RedisPassword.Reveal(), Cluster: s.Cluster, Timeout: 3 * time.Second})
	if err != nil {
		d.bad(part, "correct --redis", "%v", oneLine(err))
		return
	}
	if r.Unreachable != nil {
		fix := "check that it is up, its address and port, and rediss:// where it wants TLS"
		if errors.Is(r.Unreachable, redis.ErrConfig) || strings.Contains(r.Unreachable.Error(), "NOAUTH") || strings.Contains(r.Unreachable.Error(), "WRONGPASS") {
			fix = "set ODRADEK_REDIS_PASSWORD or --redis-password-file"
		}
		d.bad(part, fix, "%s: %v", s.Stores.Redis, oneLine(r.Unreachable))
		return
	}
	d.redisSays(r)
	d.skew(ctx, part, "Redis' clock", func() (time.Time, error) { return r.Time, nil })
}

func (d *diagnosis) redisSays(r redis.Standing) {
	const part = "redis"
	if r.Unreadable || r.RunID == "" {
		d.bad(part, "allow INFO to the user of Redis (+info)", "it does not say its run id: agents cannot tell one Redis from another")
		return
	}
	major, _, _ := strings.Cut(r.Version, ".")
	if n, err := strconv.Atoi(major); err != nil || n < 7 {
		d.bad(part, "use Redis 7.0 or later, or Valkey", "version %s", r.Version)
	} else {
		d.ok(part, "version %s, a round trip takes %s", r.Version, round(r.Latency))
	}
	if r.Latency > slowRedis {
		d.warn(part, "put Redis into the network of the agents", "a round trip takes %s: consumers of other zones see records later", round(r.Latency))
	}
	switch {
	case r.Policy != "noeviction" && r.MaxMemory != "0":
		d.bad(part, "CONFIG SET maxmemory-policy noeviction, in its configuration too", "it evicts keys (%s) when it has %s bytes: the index would have holes", r.Policy, r.MaxMemory)
	case r.Policy != "noeviction":
		d.warn(part, "CONFIG SET maxmemory-policy noeviction, in its configuration too", "maxmemory-policy is %s; it evicts nothing only as there is no maxmemory", r.Policy)
	default:
		d.ok(part, "maxmemory-policy noeviction")
	}
	if r.Role != "master" {
		d.bad(part, "name the master's address in --redis", "it is a replica")
	}
	if r.Mode == "cluster" {
		d.ok(part, "cluster mode: all keys of a cluster of agents are in one slot")
	}
	switch {
	case r.AppendOnly:
		d.ok(part, "appends to a file: allowed, not needed, the index is built again from the bucket")
	default:
		d.ok(part, "keeps no append-only file, which is fine: the index is built again from the bucket")
	}
}

// disk tries the data directory.
func (d *diagnosis) disk(s settings.Settings) {
	const part = "disk"
	if err := os.MkdirAll(s.DataDir, 0o755); err != nil {
		d.bad(part, "make the directory, and give it to the user that runs agents", "%v", err)
		return
	}
	path := filepath.Join(s.DataDir, "doctor-"+random())
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		d.bad(part, "give the directory to the user that runs agents", "%v", err)
		return
	}
	defer os.Remove(path)
	defer f.Close()
	var syncs []time.Duration
	for range timedSyncs {
		if _, err = f.Write(make([]byte, 4096)); err == nil {
			began := time.Now()
			if err = f.Sync(); err == nil {
				syncs = append(syncs, time.Since(began))
			}
		}
		if err != nil {
			d.bad(part, "give the WAL another disk (--data-dir)", "%s: %v", s.DataDir, err)
			return
		}
	}
	took := middle(syncs)
	var fs syscall.Statfs_t
	err = syscall.Statfs(s.DataDir, &fs)
	switch {
	case err == nil && int64(fs.Type) == tmpfs: //nolint:unconvert // its type differs among systems
		d.bad(part, "give the WAL a disk that outlives a restart (--data-dir)", "%s is memory: acks=1 is lost when the machine restarts", s.DataDir)
	case took > slowSync:
		d.warn(part, "give the WAL a local SSD or an EBS volume (--data-dir)", "an fsync takes %s: acks=1 waits for one", round(took))
	default:
		d.ok(part, "%s: an fsync takes %s", s.DataDir, round(took))
	}
	if free := int64(fs.Bavail) * int64(fs.Bsize); err == nil && free < int64(s.WALSize) { //nolint:unconvert // likewise
		d.warn(part, "make room, or lower --wal-size", "%s are free, and the WAL may grow to %s: acks=1 outlasts a shorter outage", size(free), s.WALSize)
	}
}

// tmpfs is the type of a file system in memory, by statfs.
const tmpfs = 0x01021994

// addresses tries what clients will connect to.
func (d *diagnosis) addresses(ctx context.Context, s settings.Settings) {
	const part = "listener"
	port := 0
	l, err := net.Listen("tcp", s.Network.Listen)
	switch {
	case err == nil:
		defer l.Close()
		port = l.Addr().(*net.TCPAddr).Port
		go accept(l)
	case errors.Is(err, syscall.EADDRINUSE):
		d.warn(part, "end what listens there, unless it is the agent that you look after", "%s is in use", s.Network.Listen)
		if _, p, serr := net.SplitHostPort(s.Network.Listen); serr == nil {
			port, _ = strconv.Atoi(p)
		}
	default:
		d.bad(part, "correct --listen: it must be an address of this machine, HOST:PORT", "%v", oneLine(err))
		return
	}
	at := place.Find(ctx, place.Request{Listen: s.Network.Listen, Port: port, Advertise: s.Network.Advertise, Zone: s.Zone}, place.Here())
	conn, err := net.DialTimeout("tcp", at.Address(), listenPatience)
	if err != nil {
		d.bad(part, "set --advertise to an address that leads here, and open its port", "clients are told to connect to %s (%s), which this machine cannot: %v",
			at.Address(), at.HostFrom, oneLine(err))
		return
	}
	conn.Close()
	d.ok(part, "clients are told to connect to %s (%s), and this machine can", at.Address(), at.HostFrom)
	if at.Zone == "" && s.Stores.Redis != settings.RedisEmbedded {
		d.warn(part, "set --zone, or --zone none where there are none", "no zone was found: consumers read from any agent, across zones")
	}
}

// accept takes connections until the listener is closed.
func accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		c.Close()
	}
}
