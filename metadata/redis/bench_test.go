package redis_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/odradek/odradek/metadata"
	"github.com/odradek/odradek/test/servers"
	"github.com/odradek/odradek/topic"
)

// BenchmarkIndex measures one slot per round trip, one at a time. redis-us/op is what Redis itself says that the scripts
// took; ns/op adds the client and the loopback.
func BenchmarkIndex(b *testing.B) {
	for _, n := range []int{1, 10, 100, 1000, 2000} {
		b.Run(fmt.Sprintf("extents=%d", n), func(b *testing.B) {
			server := servers.OwnRedis(b)
			s, a := open(b, server), admin(b, server)
			var partitions []topic.Partition
			for i := range n {
				partitions = append(partitions, topic.Partition{Topic: topic.ID{1, byte(i / 16)}, Index: int32(i % 16)})
			}
			pin := openEra(b, s, 1, partitions...)
			segment := metadata.Segment{Journal: journalA, Extents: make([]metadata.Extent, n)}
			a.ConfigResetStat(b.Context())
			b.ReportAllocs()
			for b.Loop() {
				for i := range segment.Extents {
					x := &segment.Extents[i]
					x.Partition, x.Base, x.Next = partitions[i], topic.Offset(10*segment.Slot), topic.Offset(10*segment.Slot+10)
					x.Position, x.Length, x.RawLength, x.MaxTimestamp = uint32(i*4096), 4096, 8192, 1700000000000
				}
				outcomes, err := s.Index(b.Context(), pin, 1, []metadata.Segment{segment})
				if err != nil || outcomes[0] != metadata.Indexed {
					b.Fatal(outcomes, err)
				}
				segment.Slot++
			}
			b.ReportMetric(scriptTime(b, a)/float64(segment.Slot), "redis-us/op")
		})
	}
}

// bareScript is the floor: the reads and writes of index.lua without its checks.
const bareScript = `
local n = #ARGV / 2
local have, set = redis.call('HMGET', KEYS[1], unpack(ARGV, 1, n)), {}
for i = 1, n do set[2 * i - 1], set[2 * i] = ARGV[i], ARGV[n + i] end
redis.call('HSET', KEYS[1], unpack(set))
redis.call('RPUSH', KEYS[2], 'an entry of some forty bytes per extent')
return #have`

// BenchmarkBare is the reference for BenchmarkIndex in the same run.
func BenchmarkBare(b *testing.B) {
	for _, n := range []int{1, 10, 100, 1000, 2000} {
		b.Run(fmt.Sprintf("extents=%d", n), func(b *testing.B) {
			a := admin(b, servers.OwnRedis(b))
			script := goredis.NewScript(bareScript)
			if err := script.Load(b.Context(), a).Err(); err != nil {
				b.Fatal(err)
			}
			a.ConfigResetStat(b.Context())
			args := make([]any, 2*n)
			calls := 0
			for b.Loop() {
				for i := range n {
					args[i] = topic.Partition{Topic: topic.ID{1, byte(i / 16)}, Index: int32(i % 16)}.String()
					args[n+i] = strconv.Itoa(10 * calls)
				}
				if err := script.EvalSha(b.Context(), a, []string{"ends", "log"}, args...).Err(); err != nil {
					b.Fatal(err)
				}
				calls++
			}
			b.ReportMetric(scriptTime(b, a)/float64(calls), "redis-us/op")
		})
	}
}

// scriptTime is how many microseconds Redis spent in EVALSHA.
func scriptTime(b *testing.B, a *goredis.Client) float64 {
	stats := a.Info(b.Context(), "commandstats").Val()
	_, line, _ := strings.Cut(stats, "cmdstat_evalsha:")
	_, line, _ = strings.Cut(line, "usec=")
	line, _, _ = strings.Cut(line, ",")
	us, err := strconv.ParseFloat(line, 64)
	if err != nil {
		b.Fatal(err)
	}
	return us
}
