package group

import (
	"errors"
	"fmt"
	"time"
)

// Config holds the settings and all caps of this package.
type Config struct {
	Partitions int32        // of the offsets topic when it is created
	Count      func() int32 // of the offsets topic that there is, whatever the setting says now; 0 or nil: Partitions

	MinSessionTimeout     time.Duration // group.min.session.timeout.ms
	MaxSessionTimeout     time.Duration // group.max.session.timeout.ms
	InitialRebalanceDelay time.Duration // group.initial.rebalance.delay.ms
	NewMemberJoinTimeout  time.Duration // how long a new member's JoinGroup may wait before it is given up
	OffsetsRetention      time.Duration // offsets.retention.minutes
	RetentionCheck        time.Duration // offsets.retention.check.interval.ms
	MaxMetadataBytes      int           // offset.metadata.max.bytes

	MaxGroupSize   int // members of one group, joining ones included: group.max.size
	MaxGroups      int // groups of one partition of the offsets topic
	MaxOffsets     int // committed offsets of one group
	MaxRecordBytes int // of a group's record: members, subscriptions and assignments together
	MaxQueue       int // requests that wait for one partition; more wait outside, with their context

	// TopicExists says whether there is a topic of that name: what was committed for one that was deleted while nobody
	// coordinated the group is deleted when the group is loaded. It knows every topic that anybody committed for. nil:
	// all exist.
	TopicExists func(name string) bool
}

// Defaults gives Kafka's defaults. Kafka does not limit MaxGroupSize, MaxGroups and MaxOffsets.
func Defaults() Config {
	return Config{
		Partitions:            50,
		MinSessionTimeout:     6 * time.Second,
		MaxSessionTimeout:     30 * time.Minute,
		InitialRebalanceDelay: 3 * time.Second,
		NewMemberJoinTimeout:  5 * time.Minute,
		OffsetsRetention:      7 * 24 * time.Hour,
		RetentionCheck:        10 * time.Minute,
		MaxMetadataBytes:      4096,
		MaxGroupSize:          5_000,
		MaxGroups:             20_000,
		MaxOffsets:            100_000,
		MaxRecordBytes:        900 << 10,
		MaxQueue:              256,
	}
}

// Validate reports all that is wrong with the settings.
func (c Config) Validate() error {
	var errs []error
	positive := func(name string, v int64) {
		if v <= 0 {
			errs = append(errs, fmt.Errorf("%s is %d, want more than 0", name, v))
		}
	}
	positive("offsets.topic.num.partitions", int64(c.Partitions))
	positive("group.min.session.timeout.ms", c.MinSessionTimeout.Milliseconds())
	positive("offsets.retention.minutes", c.OffsetsRetention.Milliseconds())
	positive("offsets.retention.check.interval.ms", c.RetentionCheck.Milliseconds())
	positive("new member join timeout", c.NewMemberJoinTimeout.Milliseconds())
	positive("group.max.size", int64(c.MaxGroupSize))
	positive("groups per partition", int64(c.MaxGroups))
	positive("offsets per group", int64(c.MaxOffsets))
	positive("group record bytes", int64(c.MaxRecordBytes))
	positive("queued requests", int64(c.MaxQueue))
	if c.MaxSessionTimeout < c.MinSessionTimeout {
		errs = append(errs, fmt.Errorf("group.max.session.timeout.ms is %d, want at least group.min.session.timeout.ms, %d",
			c.MaxSessionTimeout.Milliseconds(), c.MinSessionTimeout.Milliseconds()))
	}
	if c.InitialRebalanceDelay < 0 {
		errs = append(errs, fmt.Errorf("group.initial.rebalance.delay.ms is %d, want at least 0", c.InitialRebalanceDelay.Milliseconds()))
	}
	return errors.Join(errs...)
}
