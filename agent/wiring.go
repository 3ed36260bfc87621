package agent

import (
	"time"

	"github.com/odradek/odradek/agent/api"
	"github.com/odradek/odradek/agent/wire"
	"github.com/odradek/odradek/topic"
)

// engines joins the session's engines for agent/api.
func (s *session) engines() api.Engines {
	return api.Engines{
		Log: &apiLog{s}, Reader: &apiReader{s}, Offsets: &apiOffsets{s}, Starts: &apiStarts{s}, Cluster: &apiCluster{s}, Admin: &apiAdmin{s},
		Coordinators: &coordinators{s}, Groups: s.groups, Moves: &apiMoves{s}, Holdings: &apiHoldings{s},
	}
}

// kafka are the cluster settings that this agent was started with.
func (s *session) kafka() topic.Cluster { return topic.Cluster{s.agent.settings.Kafka} }

func (s *session) apiConfig() api.Config {
	c := api.DefaultConfig()
	c.Settings = s.agent.settings.Kafka
	c.AnswerBytes = divide(s.agent.settings.Memory).answers
	return c
}

func (s *session) wireConfig() wire.Config {
	c, v := wire.DefaultConfig(), s.kafka()
	c.MaxFrame = int(min(v.Int64("socket.request.max.bytes"), divide(s.agent.settings.Memory).frames))
	c.MaxConnections = int(min(v.Int64("max.connections"), int64(c.MaxConnections)))
	if idle := v.Int64("connections.max.idle.ms"); idle > 0 {
		c.IdleTimeout = time.Duration(idle) * time.Millisecond
	}
	c.Traces = s.agent.tracer()
	return c
}
