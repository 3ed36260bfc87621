package pool

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/odradek/odradek/test/harness"
	"github.com/odradek/odradek/test/servers"
)

// syncTime is how long a replica may take until it is in step.
const syncTime = 20 * time.Second

// Redis is the Redis of a pool through all that happens to it. Each life has a port of its own; the agents' links point
// to the one that counts.
type Redis struct {
	t     *harness.Program
	pool  *Pool
	dirs  string // one directory below for each life that begins with other data
	lives int    // how many directories there are

	server *servers.RedisServer
	dir    string
	down   bool
	other  *servers.RedisServer // the second master, while there are two
}

func startRedis(t *harness.Program, dirs string) *Redis {
	r := &Redis{t: t, dirs: dirs}
	r.server, r.dir = r.launch(r.newDir(), "--appendonly", "yes")
	return r
}

// Addr is the server of the moment.
func (r *Redis) Addr() string { return r.server.Addr }

func (r *Redis) newDir() string {
	r.lives++
	dir := filepath.Join(r.dirs, fmt.Sprint(r.lives))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		r.t.Fatalf("redis: %v", err)
	}
	return dir
}

func (r *Redis) launch(dir string, args ...string) (*servers.RedisServer, string) {
	base := []string{"--dir", dir, "--appendfsync", "everysec", "--repl-diskless-sync-delay", "0"}
	return servers.OwnRedis(r.t, append(base, args...)...), dir
}

// become makes another server the one that counts.
func (r *Redis) become(s *servers.RedisServer, dir string) {
	r.server, r.dir, r.down = s, dir, false
	for _, a := range r.pool.Agents() {
		a.Redis.Point(s.Addr)
	}
}

// do sends a command to a server.
func (r *Redis) do(s *servers.RedisServer, args ...any) (string, error) {
	c := redis.NewClient(&redis.Options{Addr: s.Addr, MaxRetries: -1})
	defer c.Close()
	ctx, cancel := context.WithTimeout(r.t.Context(), 10*time.Second)
	defer cancel()
	out, err := c.Do(ctx, args...).Result()
	if err != nil {
		return "", fmt.Errorf("redis %v: %w", args, err)
	}
	return fmt.Sprint(out), nil
}

// Flush is FLUSHALL.
func (r *Redis) Flush() error {
	_, err := r.do(r.server, "FLUSHALL")
	return err
}

// Forget is FLUSHALL of the server that an agent is sent to, whatever is done to Redis meanwhile.
func (a *Agent) Forget(ctx context.Context) error {
	c := redis.NewClient(&redis.Options{Addr: a.Redis.Target(), MaxRetries: -1})
	defer c.Close()
	ctx, cancel := context.WithTimeout(ctx, orderTime)
	defer cancel()
	return c.FlushAll(ctx).Err()
}

// Kill ends the server with SIGKILL.
func (r *Redis) Kill() {
	r.server.Kill()
	r.down = true
}

// Restart starts the server again with what its append-only file holds.
func (r *Redis) Restart() {
	r.server.Kill()
	r.become(r.launch(r.dir, "--appendonly", "yes"))
}

// RestartEmpty starts a server that knows nothing in place of the killed one.
func (r *Redis) RestartEmpty() {
	r.server.Kill()
	r.become(r.launch(r.newDir(), "--appendonly", "yes"))
}

// RestartTorn is Restart after up to a third of the append-only file's end was torn off, which Redis takes as the
// tail of a crash. It says how many bytes that were.
func (r *Redis) RestartTorn() (int64, error) {
	r.server.Kill()
	r.down = true
	files, err := filepath.Glob(filepath.Join(r.dir, "appendonlydir", "*.incr.aof"))
	if err != nil || len(files) == 0 {
		return 0, fmt.Errorf("no append-only file in %s: %w", r.dir, err)
	}
	newest := slices.MaxFunc(files, func(x, y string) int { return int(aofSeq(x) - aofSeq(y)) })
	info, err := os.Stat(newest)
	if err != nil {
		return 0, err
	}
	torn := rand.Int64N(info.Size()/3 + 1)
	if err := os.Truncate(newest, info.Size()-torn); err != nil {
		return 0, err
	}
	r.Restart()
	return torn, nil
}

// aofSeq is the number in appendonly.aof.N.incr.aof.
func aofSeq(name string) (n int64) {
	fmt.Sscanf(strings.TrimPrefix(filepath.Base(name), "appendonly.aof."), "%d", &n)
	return n
}

// replica starts a replica and promotes it once it is in step. From then on it lags behind the master.
func (r *Redis) replica(ctx context.Context) (*servers.RedisServer, string, error) {
	host, port, _ := strings.Cut(r.server.Addr, ":")
	s, dir := r.launch(r.newDir(), "--appendonly", "yes", "--replicaof", host, port)
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		info, err := r.do(s, "INFO", "replication")
		if err == nil && strings.Contains(info, "master_link_status:up") {
			break
		}
		if time.Since(began) > syncTime || ctx.Err() != nil {
			s.Kill()
			return nil, "", fmt.Errorf("replica is not in step after %v: %w", time.Since(began), err)
		}
	}
	_, err := r.do(s, "REPLICAOF", "NO", "ONE")
	return s, dir, err
}

// Failover makes a replica the master that stopped following some time ago: what was written since is lost. It says how
// many slots the agents had indexed in the old master that the new one knows nothing of.
func (r *Redis) Failover(ctx context.Context, lag time.Duration) (lost int64, err error) {
	s, dir, err := r.replica(ctx)
	if err != nil {
		return 0, err
	}
	sleep(ctx, lag)
	old := r.server
	had, err := r.indexed(ctx, old)
	if err != nil {
		return 0, err
	}
	has, err := r.indexed(ctx, s)
	if err != nil {
		return 0, err
	}
	r.become(s, dir)
	old.Kill()
	for journal, next := range had {
		lost += max(0, next-has[journal])
	}
	return lost, nil
}

// indexed gives the next slot to index of each journal in each era, as docs/format/redis.md has it: of what the agents
// were answered for, the part that grows with the records.
func (r *Redis) indexed(ctx context.Context, s *servers.RedisServer) (map[string]int64, error) {
	c := redis.NewClient(&redis.Options{Addr: s.Addr, MaxRetries: -1})
	defer c.Close()
	keys, err := c.Keys(ctx, "*:journals").Result()
	if err != nil {
		return nil, fmt.Errorf("redis keys: %w", err)
	}
	out := make(map[string]int64)
	for _, key := range keys {
		fields, err := c.HGetAll(ctx, key).Result()
		if err != nil {
			return nil, fmt.Errorf("redis hgetall %s: %w", key, err)
		}
		for journal, next := range fields {
			if strings.Contains(journal, ":") {
				continue // first slot, seal, slot of re-attachment
			}
			n, err := strconv.ParseInt(next, 10, 64)
			if err != nil {
				return nil, fmt.Errorf("redis %s, %s: %w", key, journal, err)
			}
			out[key+" "+journal] = n
		}
	}
	return out, nil
}

// Split makes a second master that a half of the agents is sent to, and gives the function that ends it: all go to the
// second one, or back to the first, and the other dies.
func (r *Redis) Split(ctx context.Context, second bool) (heal func(), err error) {
	s, dir, err := r.replica(ctx)
	if err != nil {
		return nil, err
	}
	r.other = s
	agents := r.pool.Members()
	for i, n := range rand.Perm(len(agents)) {
		if i < (len(agents)+1)/2 {
			agents[n].Redis.Point(s.Addr)
		}
	}
	return func() {
		r.other = nil
		if second {
			old := r.server
			r.become(s, dir)
			old.Kill()
			return
		}
		r.become(r.server, r.dir)
		s.Kill()
	}, nil
}

// Rollback brings back the data of some time ago.
func (r *Redis) Rollback(ctx context.Context, age time.Duration) error {
	if _, err := r.do(r.server, "SAVE"); err != nil {
		return err
	}
	dir := r.newDir()
	if err := copyFile(filepath.Join(dir, "dump.rdb"), filepath.Join(r.dir, "dump.rdb")); err != nil {
		return err
	}
	sleep(ctx, age)
	r.server.Kill()
	r.down = true
	s, dir := r.launch(dir)
	if _, err := r.do(s, "CONFIG", "SET", "appendonly", "yes"); err != nil {
		return err
	}
	for began := time.Now(); time.Since(began) < syncTime; time.Sleep(20 * time.Millisecond) {
		info, err := r.do(s, "INFO", "persistence")
		if err == nil && strings.Contains(info, "aof_rewrite_in_progress:0") {
			break
		}
	}
	r.become(s, dir)
	return nil
}

// Stop is SIGSTOP, Continue SIGCONT.
func (r *Redis) Stop()     { r.signal(syscall.SIGSTOP) }
func (r *Redis) Continue() { r.signal(syscall.SIGCONT) }

func (r *Redis) signal(s syscall.Signal) {
	if pid := r.server.Pid(); pid != 0 {
		syscall.Kill(pid, s)
	}
}

// Fill takes the memory away: every write is refused until Empty.
func (r *Redis) Fill() error {
	_, err := r.do(r.server, "CONFIG", "SET", "maxmemory", "1")
	return err
}

// Empty gives the memory back.
func (r *Redis) Empty() error {
	_, err := r.do(r.server, "CONFIG", "SET", "maxmemory", "0")
	return err
}

// Mend makes one healthy server of what there is.
func (r *Redis) Mend() {
	if r.other != nil {
		r.other.Kill()
		r.other = nil
	}
	if r.down || r.server.Pid() == 0 {
		r.Restart()
	}
	r.Continue()
	if err := r.Empty(); err != nil {
		r.t.Errorf("mend: %v", err)
	}
	r.become(r.server, r.dir)
}

func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
