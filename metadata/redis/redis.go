package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/odradek/odradek/metadata"
)

var _ metadata.Store = (*Store)(nil)

// ErrConfig says that a setting, or the Redis it leads to, is unfit. Trying again does not help.
var ErrConfig = errors.New("redis setting")

// Config says which Redis, and which cluster in it.
type Config struct {
	URL      string        // redis://[user@]host:port[/db] or rediss://…; holds no password
	Password string        // from the environment or a file, never from argv
	TLS      *tls.Config   // for rediss://; nil: the system's roots
	Cluster  string        // cluster id: the hash tag of all keys
	Timeout  time.Duration // of one call without a deadline of its own; default 3 s
	Log      *slog.Logger  // nil: slog.Default()
	// Observe is told how long each round trip took, and whether Redis answered; nil: nobody is. It must not block.
	Observe func(took time.Duration, answered bool)
}

// Store is a metadata store in Redis. Safe for concurrent use.
type Store struct {
	client *goredis.Client
	keys   keys
	log    *slog.Logger
	probed atomic.Bool // this Redis was reached and found fit
}

// Open checks the settings and, if Redis can be reached, that it is fit: it never evicts (maxmemory-policy noeviction,
// or no maxmemory), says its run id and is no replica. An unfit Redis or setting is ErrConfig. A Redis that is away is
// no error: the calls of the Store return ErrUnavailable until it is back, and it is checked then.
func Open(ctx context.Context, config Config) (*Store, error) {
	options, err := config.options()
	if err != nil {
		return nil, err
	}
	goredis.SetLogger(silent{})
	s := &Store{client: goredis.NewClient(options), keys: keys{cluster: config.Cluster}, log: config.Log}
	if config.Observe != nil {
		s.client.AddHook(observed(config.Observe))
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	if err := s.ready(ctx); unauthorized(err) {
		return nil, errors.Join(fmt.Errorf("%w: password or user: %w", ErrConfig, err), s.client.Close())
	} else if errors.Is(err, ErrConfig) {
		return nil, errors.Join(err, s.client.Close())
	} else if err != nil {
		s.log.Warn("redis is away, going on without it", slog.String("error", err.Error()))
	}
	return s, nil
}

// unauthorized tells whether Redis refuses the password or the user.
func unauthorized(err error) bool {
	if err == nil {
		return false
	}
	for _, word := range []string{"WRONGPASS", "NOAUTH", "NOPERM", "ERR AUTH", "ERR invalid password"} {
		if strings.Contains(err.Error(), word) {
			return true
		}
	}
	return false
}

// Close closes the connections. Calls under way return ErrUnavailable.
func (s *Store) Close() error { return s.client.Close() }

// options reports all problems of the settings at once.
func (c Config) options() (*goredis.Options, error) {
	var problems []error
	if c.Cluster == "" || strings.ContainsAny(c.Cluster, "{}: \r\n") {
		problems = append(problems, fmt.Errorf("%w: cluster id %q: want a text without braces, colons and spaces", ErrConfig, c.Cluster))
	}
	u, err := url.Parse(c.URL)
	if err != nil {
		return nil, errors.Join(append(problems, fmt.Errorf("%w: the URL cannot be read", ErrConfig))...)
	}
	if _, set := u.User.Password(); set || u.Query().Has("password") {
		return nil, errors.Join(append(problems, fmt.Errorf("%w: the URL holds a password: set ODRADEK_REDIS_PASSWORD or --redis-password-file instead", ErrConfig))...)
	}
	if u.Scheme != "redis" && u.Scheme != "rediss" {
		return nil, errors.Join(append(problems, fmt.Errorf("%w: the URL starts with %q: want redis:// or rediss://", ErrConfig, u.Scheme))...)
	}
	options, err := goredis.ParseURL(c.URL)
	if err != nil {
		problems = append(problems, fmt.Errorf("%w: %w", ErrConfig, err))
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	c.tune(options)
	return options, nil
}

// tune sets what the URL does not say.
func (c Config) tune(options *goredis.Options) {
	timeout := c.Timeout
	if timeout <= 0 {
		timeout = 3 * time.Second
	}
	options.Password = c.Password
	options.Protocol = 2
	options.DialTimeout, options.ReadTimeout, options.WriteTimeout = timeout, timeout, timeout
	options.ContextTimeoutEnabled = true
	options.MaxRetries = 1 // every call may be repeated; once is for a pooled connection that had died
	options.DialerRetries = 1
	options.DisableIdentity = true
	options.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	if options.TLSConfig != nil && c.TLS != nil {
		tlsConfig := c.TLS.Clone()
		if tlsConfig.ServerName == "" {
			tlsConfig.ServerName = options.TLSConfig.ServerName
		}
		options.TLSConfig = tlsConfig
	}
}

// ready checks once that Redis is fit.
func (s *Store) ready(ctx context.Context) error {
	if s.probed.Load() {
		return nil
	}
	_, _, err := s.probe(ctx)
	return err
}

// probe asks Redis who it is and whether it is fit.
func (s *Store) probe(ctx context.Context) (runID, replicationID string, err error) {
	pipe := s.client.Pipeline()
	sections := []*goredis.StringCmd{pipe.Info(ctx, "server"), pipe.Info(ctx, "replication"), pipe.Info(ctx, "memory")}
	_, sent := pipe.Exec(ctx) // each command keeps its own error, unless no connection could be set up
	var all strings.Builder
	for _, section := range sections {
		err := section.Err()
		if err == nil && section.Val() == "" {
			err = sent
		}
		if err != nil {
			return "", "", fmt.Errorf("redis INFO: %w", classify(err))
		}
		all.WriteString(section.Val())
	}
	info := parseInfo(all.String())
	switch {
	case info["run_id"] == "" || info["master_replid"] == "":
		return "", "", fmt.Errorf("%w: Redis does not say its run id and replication id in INFO", ErrConfig)
	case info["maxmemory"] != "0" && info["maxmemory_policy"] != "noeviction":
		return "", "", fmt.Errorf("%w: Redis may evict keys: maxmemory-policy is %q, want noeviction", ErrConfig, info["maxmemory_policy"])
	case info["role"] != "master":
		return "", "", fmt.Errorf("%w: Redis is a %s, want the master", metadata.ErrUnavailable, info["role"])
	}
	s.probed.Store(true)
	return info["run_id"], info["master_replid"], nil
}

// parseInfo reads the lines "name:value" of INFO.
func parseInfo(text string) map[string]string {
	fields := make(map[string]string)
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), ":"); ok {
			fields[name] = value
		}
	}
	return fields
}

// Identity returns run id and replication id of the Redis that answers now, checked anew for fitness, so that no era is
// ever named after an unfit one.
func (s *Store) Identity(ctx context.Context) (runID, replicationID string, err error) {
	runID, replicationID, err = s.probe(ctx)
	if errors.Is(err, ErrConfig) {
		return "", "", fmt.Errorf("%w: %w", metadata.ErrUnavailable, err)
	}
	return runID, replicationID, err
}

// silent takes the client library's own log lines: what they tell comes back as errors as well.
type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}
