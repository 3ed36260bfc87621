package redis_test

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/odradek/odradek/metadata"
	"github.com/odradek/odradek/metadata/redis"
	"github.com/odradek/odradek/test/servers"
	"github.com/odradek/odradek/topic"
)

var (
	journalA = topic.JournalID{1}
	events   = topic.Partition{Topic: topic.ID{7}, Index: 3}
)

// admin is a plain connection to the Redis under test.
func admin(t testing.TB, server *servers.RedisServer) *goredis.Client {
	t.Helper()
	c := goredis.NewClient(&goredis.Options{Addr: server.Addr, Password: server.Password, Protocol: 2, MaxRetries: -1})
	t.Cleanup(func() { c.Close() })
	return c
}

// openEra opens an era with journal A and one empty partition, for whatever identity the store has now.
func openEra(t testing.TB, s *redis.Store, era uint64, partitions ...topic.Partition) metadata.Pin {
	t.Helper()
	ctx := context.Background()
	run, replication, err := s.Identity(ctx)
	if err != nil {
		t.Fatal(err)
	}
	pin := metadata.Pin{Era: era, RunID: run, ReplicationID: replication}
	effects := []metadata.Effect{metadata.JournalOpened{Journal: journalA}, metadata.PartitionAdded{Partition: events}}
	for _, p := range partitions {
		effects = append(effects, metadata.PartitionAdded{Partition: p})
	}
	for _, err := range []error{
		s.Begin(ctx, pin), s.Load(ctx, pin, effects), s.Loaded(ctx, pin, 1), s.Reattach(ctx, pin, journalA, 0), s.Open(ctx, pin, 1, nil),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return pin
}

func slot(n topic.Slot) metadata.Segment {
	return metadata.Segment{Journal: journalA, Slot: n, Extents: []metadata.Extent{{Partition: events, Base: topic.Offset(n), Next: topic.Offset(n + 1)}}}
}

func index(s *redis.Store, pin metadata.Pin, segments ...metadata.Segment) (metadata.Outcome, error) {
	outcomes, err := s.Index(context.Background(), pin, 1, segments)
	if err != nil {
		return 0, err
	}
	return outcomes[len(outcomes)-1], nil
}

func mustIndex(t *testing.T, s *redis.Store, pin metadata.Pin, segments ...metadata.Segment) {
	t.Helper()
	if outcome, err := index(s, pin, segments...); err != nil || outcome != metadata.Indexed {
		t.Fatalf("index: %v, %v", outcome, err)
	}
}

func wantErr(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error %v, want %v", err, want)
	}
}

func TestFlushall_IsAnotherEraUntilANewOneIsBuilt(t *testing.T) {
	server := servers.OwnRedis(t)
	s := open(t, server)
	one := openEra(t, s, 1)
	mustIndex(t, s, one, slot(0))
	if err := s.Register(t.Context(), one, journalA, ""); err != nil {
		t.Fatal(err)
	}
	if err := admin(t, server).FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	_, err := index(s, one, slot(1))
	wantErr(t, err, metadata.ErrEra)
	_, err = s.Segments(t.Context(), one, []metadata.Cursor{{Journal: journalA}}, 1)
	wantErr(t, err, metadata.ErrEra)
	wantErr(t, s.Beat(t.Context(), one, journalA), metadata.ErrEra)
	wantErr(t, s.Register(t.Context(), one, journalA, ""), metadata.ErrEra)

	two := openEra(t, s, 2)
	if two.RunID != one.RunID {
		t.Fatal("FLUSHALL changed the run id")
	}
	mustIndex(t, s, two, slot(0), slot(1))
}

func TestRestart_IsAnotherEraEvenWithItsDataKept(t *testing.T) {
	server := servers.OwnRedis(t, "--appendonly", "yes", "--appendfsync", "always")
	s := openCluster(t, server, "c1")
	one := openEra(t, s, 1)
	mustIndex(t, s, one, slot(0))
	server.Restart()
	again := openCluster(t, server, "c1") // its connections are new
	_, err := index(again, one, slot(1))
	wantErr(t, err, metadata.ErrEra)
	_, err = again.Ends(t.Context(), one, []topic.Partition{events})
	wantErr(t, err, metadata.ErrEra)

	status, err := again.Current(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if status.Open() || status.OpenEra != 1 || status.OpenPinned || status.Journals[journalA].Next != 1 {
		t.Fatalf("status %+v: want era 1 still there with its data, but not for this run id", status)
	}
	mustIndex(t, again, openEra(t, again, 2), slot(0), slot(1))
}

func TestKill_IsUnavailableAndComesBackByItself(t *testing.T) {
	server := servers.OwnRedis(t)
	s := open(t, server)
	one := openEra(t, s, 1)
	ctx, hangUp := context.WithCancel(t.Context())
	rings := make(chan metadata.Kinds, 1000)
	ended := make(chan error, 1)
	go func() { ended <- s.Listen(ctx, func(k metadata.Kinds) { rings <- k }) }()
	<-rings
	server.Kill()
	_, err := index(s, one, slot(0))
	wantErr(t, err, metadata.ErrUnavailable)
	_, _, err = s.Identity(t.Context())
	wantErr(t, err, metadata.ErrUnavailable)
	_, err = s.Current(t.Context(), 1)
	wantErr(t, err, metadata.ErrUnavailable)
	wantErr(t, s.Ring(t.Context(), metadata.KindControl), metadata.ErrUnavailable)
	wantErr(t, s.Beat(t.Context(), one, journalA), metadata.ErrUnavailable)

	server.Restart()
	if kinds := <-rings; kinds != metadata.AllKinds {
		t.Fatalf("first ring after the fault: %v, want all kinds", kinds)
	}
	_, err = index(s, one, slot(0))
	for deadline := time.Now().Add(10 * time.Second); errors.Is(err, metadata.ErrUnavailable) && time.Now().Before(deadline); {
		_, err = index(s, one, slot(0)) // connections that ended with the server may say so first
	}
	wantErr(t, err, metadata.ErrEra)
	mustIndex(t, s, openEra(t, s, 2), slot(0))
	hangUp()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Fatalf("listen ended with %v", err)
	}
}

func TestFailover_NewReplicationIDIsAnotherEra(t *testing.T) {
	master, replica := servers.OwnRedis(t, "--repl-diskless-sync-delay", "0"), servers.OwnRedis(t)
	s := openCluster(t, master, "c1")
	host, port, _ := net.SplitHostPort(master.Addr)
	r := admin(t, replica)
	if err := r.ReplicaOf(t.Context(), host, port).Err(); err != nil {
		t.Fatal(err)
	}
	follower := openCluster(t, replica, "c1")
	_, _, err := follower.Identity(t.Context())
	wantErr(t, err, metadata.ErrUnavailable)
	for !strings.Contains(r.Info(t.Context(), "replication").Val(), "master_link_status:up") {
	}
	one := openEra(t, s, 1) // not before: the first replica ever gives its master a new replication id
	mustIndex(t, s, one, slot(0), slot(1))
	if n, err := admin(t, master).Wait(t.Context(), 1, 10*time.Second).Result(); n != 1 {
		t.Fatalf("the replica did not follow: %v", err)
	}

	if err := r.ReplicaOf(t.Context(), "NO", "ONE").Err(); err != nil {
		t.Fatal(err)
	}
	_, err = index(follower, one, slot(2))
	wantErr(t, err, metadata.ErrEra)
	_, err = follower.Applied(t.Context(), one)
	wantErr(t, err, metadata.ErrEra)
	mustIndex(t, follower, openEra(t, follower, 2), slot(0))
	mustIndex(t, s, one, slot(2)) // the old master goes on for those who still believe in it
}

func TestOpen_RedisAwayIsNotFatal(t *testing.T) {
	server := servers.OwnRedis(t)
	server.Kill()
	s := open(t, server)
	_, err := s.Applied(t.Context(), metadata.Pin{Era: 1, RunID: "a", ReplicationID: "b"})
	wantErr(t, err, metadata.ErrUnavailable)
	server.Restart()
	mustIndex(t, s, openEra(t, s, 1), slot(0))
}

func TestOpen_EvictingRedisIsRefused(t *testing.T) {
	server := servers.OwnRedis(t, "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")
	_, err := redis.Open(t.Context(), redis.Config{URL: server.URL(), Cluster: "c"})
	wantErr(t, err, redis.ErrConfig)
	if !strings.Contains(err.Error(), "noeviction") || !strings.Contains(err.Error(), "allkeys-lru") {
		t.Fatalf("error does not say what is and what should be: %v", err)
	}
}

func TestOpen_EvictingRedisThatComesLaterIsNotUsed(t *testing.T) {
	server := servers.OwnRedis(t, "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")
	server.Kill()
	s := open(t, server)
	server.Restart()
	_, _, err := s.Identity(t.Context())
	wantErr(t, err, metadata.ErrUnavailable)
	_, err = s.Current(t.Context(), 1)
	wantErr(t, err, metadata.ErrUnavailable)
	wantErr(t, err, redis.ErrConfig)
}

func TestFullRedis_IsUnavailableAndChangesNothing(t *testing.T) {
	server := servers.OwnRedis(t)
	s, a := open(t, server), admin(t, server)
	pin := openEra(t, s, 1)
	if err := a.ConfigSet(t.Context(), "maxmemory", "1").Err(); err != nil {
		t.Fatal(err)
	}
	_, err := index(s, pin, slot(0))
	wantErr(t, err, metadata.ErrUnavailable)
	if err := a.ConfigSet(t.Context(), "maxmemory", "0").Err(); err != nil {
		t.Fatal(err)
	}
	mustIndex(t, s, pin, slot(0))
}

func TestScriptFlush_ScriptsAreLoadedAgain(t *testing.T) {
	server := servers.OwnRedis(t)
	s := open(t, server)
	pin := openEra(t, s, 1)
	if err := admin(t, server).ScriptFlush(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	mustIndex(t, s, pin, slot(0), slot(1), slot(2))
}

func TestPassword_IsAskedForAndRefusedInTheURL(t *testing.T) {
	server := servers.OwnRedis(t, "--requirepass", "s3cret")
	config := redis.Config{URL: server.URL(), Password: "s3cret", Cluster: "c"}
	s, err := redis.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	mustIndex(t, s, openEra(t, s, 1), slot(0))

	for _, url := range []string{"redis://:s3cret@" + server.Addr, "redis://me:s3cret@" + server.Addr, server.URL() + "?password=s3cret"} {
		config.URL = url
		_, err := redis.Open(t.Context(), config)
		wantErr(t, err, redis.ErrConfig)
		if text := err.Error(); strings.Contains(text, "s3cret") || !strings.Contains(text, "ODRADEK_REDIS_PASSWORD") || !strings.Contains(text, "--redis-password-file") {
			t.Fatalf("error tells the password or not the way out: %v", err)
		}
	}
	config.URL, config.Password = server.URL(), "wrong"
	wrong, err := redis.Open(t.Context(), config)
	wantErr(t, err, redis.ErrConfig)
	if wrong != nil || strings.Contains(err.Error(), "wrong\"") {
		t.Fatalf("a wrong password was accepted or told: %v", err)
	}
}

func TestOpen_UnfitSettingsAreNamedTogether(t *testing.T) {
	for _, c := range []struct {
		config redis.Config
		want   []string
	}{
		{redis.Config{URL: "http://x", Cluster: ""}, []string{"cluster id", "redis:// or rediss://"}},
		{redis.Config{URL: "redis://x:1/notanumber", Cluster: "c"}, []string{"database"}},
		{redis.Config{URL: "redis://x:1?nonsense=1", Cluster: "{c}"}, []string{"nonsense", "cluster id"}},
		{redis.Config{URL: "redis://%zz", Cluster: "c"}, []string{"cannot be read"}},
	} {
		_, err := redis.Open(t.Context(), c.config)
		wantErr(t, err, redis.ErrConfig)
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%+v: %v does not name %q", c.config, err, want)
			}
		}
	}
}

// A reply that is lost after the script ran is asked for again and changes nothing twice.
func TestIndex_LostRepliesMakeNoHoleAndNoDouble(t *testing.T) {
	server := servers.SharedRedis(t)
	cluster := rand.Text()
	s := openCluster(t, server, cluster)
	pin := openEra(t, s, 1)
	lossy, err := redis.Open(t.Context(), redis.Config{URL: "redis://" + loseReplies(t, server.Addr, 3), Password: server.Password, Cluster: cluster})
	if err != nil {
		t.Fatal(err)
	}
	defer lossy.Close()
	const slots = 40
	again := 0
	for n := range topic.Slot(slots) {
		for done := false; !done; {
			outcome, err := index(lossy, pin, slot(n))
			switch {
			case errors.Is(err, metadata.ErrUnavailable):
				again++
			case err == nil && outcome == metadata.Repeated:
				again++
				done = true
			case err == nil && outcome == metadata.Indexed:
				done = true
			default:
				t.Fatalf("slot %d: %v, %v", n, outcome, err)
			}
		}
	}
	if again == 0 {
		t.Fatal("no reply was lost")
	}
	got, err := s.Segments(t.Context(), pin, []metadata.Cursor{{Journal: journalA}}, 2*slots)
	if err != nil || len(got) != slots {
		t.Fatalf("%d segments, %v; want %d", len(got), err, slots)
	}
	for n, segment := range got {
		if segment.Slot != topic.Slot(n) {
			t.Fatalf("segment %d is of slot %d", n, segment.Slot)
		}
	}
}

// loseReplies listens before a Redis and hangs up instead of giving on the nth reply of each connection.
func loseReplies(t *testing.T, addr string, nth int) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	t.Cleanup(func() { listener.Close(); all.Wait() })
	all.Go(func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", addr)
			if err != nil {
				near.Close()
				return
			}
			all.Go(func() { defer far.Close(); io.Copy(far, near) })
			all.Go(func() {
				defer near.Close()
				defer far.Close()
				reply := make([]byte, 64<<10)
				for range nth - 1 {
					n, err := far.Read(reply)
					if err != nil {
						return
					}
					near.Write(reply[:n])
				}
				far.Read(reply)
			})
		}
	})
	return listener.Addr().String()
}

// Many indexers race with the same slots of one journal and with conflicting ones of another: readers never see an
// extent without the ends, and never a part of a segment.
func TestIndex_RacingWritersAreAtomic(t *testing.T) {
	s := open(t, servers.SharedRedis(t))
	other := topic.Partition{Topic: topic.ID{8}}
	pin := openEra(t, s, 1, other)
	pair := func(n topic.Slot) metadata.Segment {
		segment := slot(n)
		segment.Extents = append(segment.Extents, metadata.Extent{Partition: other, Base: topic.Offset(2 * n), Next: topic.Offset(2*n + 2)})
		return segment
	}
	const slots, writers = 100, 4
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			for n := range topic.Slot(slots) {
				if outcome, err := index(s, pin, pair(n)); err != nil || outcome != metadata.Indexed && outcome != metadata.Repeated {
					t.Errorf("slot %d: %v, %v", n, outcome, err)
				}
			}
		})
	}
	for at := topic.Offset(0); at < slots; {
		ends, err := s.Ends(t.Context(), pin, []topic.Partition{events, other})
		if err != nil {
			t.Fatal(err)
		}
		if ends[1].Next != 2*ends[0].Next || ends[0].Next < at {
			t.Fatalf("ends %+v after %d", ends, at)
		}
		at = ends[0].Next
	}
	all.Wait()
}

func TestDeadline_IsUnavailableAndTheDeadline(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") // accepts, never answers
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	s, err := redis.Open(t.Context(), redis.Config{URL: "redis://" + listener.Addr().String(), Cluster: "c", Timeout: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = s.Current(ctx, 1)
	wantErr(t, err, metadata.ErrUnavailable)
	wantErr(t, err, context.Canceled)
	_, err = s.Current(t.Context(), 1)
	wantErr(t, err, metadata.ErrUnavailable)
}
