package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// Standing is what a Redis says of itself, for people who look whether it is fit.
type Standing struct {
	Version     string // of Redis, or of what says it is one
	Role        string // master or slave
	Mode        string // standalone, cluster or sentinel
	Policy      string // maxmemory-policy
	MaxMemory   string // 0: no limit
	AppendOnly  bool
	SavedAt     time.Time // of the last snapshot; zero if there is none
	RunID       string
	Time        time.Time     // by its own clock
	Latency     time.Duration // the median of a few round trips
	Unreadable  bool          // INFO was refused
	Unreachable error
}

// inspected is how many round trips are timed.
const inspected = 9

// Inspect asks a Redis about itself. The error is a setting's; a Redis that does not answer says so in Standing.
func Inspect(ctx context.Context, config Config) (Standing, error) {
	options, err := config.options()
	if err != nil {
		return Standing{}, err
	}
	goredis.SetLogger(silent{})
	client := goredis.NewClient(options)
	defer client.Close()
	var s Standing
	took := make([]time.Duration, 0, inspected)
	for range inspected {
		began := time.Now()
		now, err := client.Time(ctx).Result()
		if err != nil {
			if unauthorized(err) {
				err = errors.Join(ErrConfig, err)
			}
			s.Unreachable = fmt.Errorf("redis TIME: %w", classify(err))
			return s, nil
		}
		took, s.Time = append(took, time.Since(began)), now
	}
	s.Latency = median(took)
	var all strings.Builder
	for _, section := range []string{"server", "replication", "memory", "persistence"} {
		text, err := client.Info(ctx, section).Result()
		if err != nil {
			s.Unreadable = true
			continue
		}
		all.WriteString(text)
	}
	s.read(parseInfo(all.String()))
	return s, nil
}

// read takes what INFO says in.
func (s *Standing) read(info map[string]string) {
	s.Version, s.Mode, s.RunID, s.Role = info["redis_version"], info["redis_mode"], info["run_id"], info["role"]
	s.Policy, s.MaxMemory, s.AppendOnly = info["maxmemory_policy"], info["maxmemory"], info["aof_enabled"] == "1"
	if unix, err := strconv.ParseInt(info["rdb_last_save_time"], 10, 64); err == nil && unix > 0 {
		s.SavedAt = time.Unix(unix, 0)
	}
}

func median(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}
