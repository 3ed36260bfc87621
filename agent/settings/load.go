package settings

import (
	"errors"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/odradek/odradek/topic"
)

// Sources is where Load looks, strongest first.
type Sources struct {
	Flags   *pflag.FlagSet // parsed, with the flags of AddFlags; may be nil
	Unknown []string       // flags on the command line that do not exist, as --name or --name=value
	Environ []string       // as os.Environ gives it
}

// Load merges flags, environment, file and defaults and validates the result. The error is Problems: everything
// that is wrong, in the order of the table. It reads the configuration file and the password file and touches
// nothing else.
func Load(from Sources) (Settings, error) {
	l := loader{settings: Defaults(), where: map[string]string{}}
	l.unknownFlags(from.Unknown)
	flags := l.flags(from.Flags)
	environ := l.environ(from.Environ)
	file := l.file(configFile(flags, environ))

	l.apply(slices.Concat(file, environ, flags))
	l.bucketDefault()
	l.password(from.Environ)
	l.validate()
	return l.settings, l.problems.sorted().err()
}

// Validate checks settings that were filled in code. The error is Problems.
func (s Settings) Validate() error {
	l := loader{settings: s, where: map[string]string{}}
	l.settings.Kafka = topic.Config{}
	for _, name := range slices.Sorted(maps.Keys(s.Kafka)) {
		l.kafka(given{name: name, value: s.Kafka[name], where: name, kafka: true})
	}
	l.validate()
	return l.problems.sorted().err()
}

// loader carries one Load: the settings so far, what is wrong, and who set what.
type loader struct {
	settings Settings
	problems Problems
	where    map[string]string // by setting: who gave the value that stands
	broken   []string          // settings whose value could not be read; validate leaves them alone
}

func (l *loader) problem(setting, where, text string) {
	l.problems = append(l.problems, Problem{Setting: setting, Where: where, Text: text})
}

// configFile finds the file among what was given without it; the strongest comes last.
func configFile(flags, environ []given) given {
	var file given
	for _, g := range slices.Concat(environ, flags) {
		if g.name == configName && !g.kafka {
			file = g
		}
	}
	return file
}

// apply sets what was given, weakest first. Only the strongest value of a setting is looked at, so that a flag
// also repairs a broken line of the file.
func (l *loader) apply(all []given) {
	for i, g := range all {
		stronger := func(o given) bool { return o.name == g.name && o.kafka == g.kafka }
		if slices.ContainsFunc(all[i+1:], stronger) {
			continue
		}
		if g.kafka {
			l.kafka(g)
			continue
		}
		t, _ := lookup(g.name)
		l.where[g.name] = g.where
		if err := t.parse(&l.settings, g.value); err != nil {
			l.broken = append(l.broken, g.name)
			l.problem(g.name, g.where, describe(g.value, err))
		}
	}
}

// describe words a problem of a value: `1x is no size`.
func describe(value string, err error) string {
	if value == "" {
		value = "an empty value"
	}
	return hideUserinfo(value) + " " + err.Error()
}

// kafka sets a cluster setting.
func (l *loader) kafka(g given) {
	s, ok := topic.ClusterSettings.Find(g.name)
	switch {
	case !ok:
		l.problem(setName, g.where, unknown("cluster setting", g.name, topic.ClusterSettings.Names(), same))
	case s.ReadOnly:
		l.problem(setName, g.where, "cannot be set")
	default:
		if err := s.Validate(g.value); err != nil {
			l.problem(setName, g.where, err.Error())
			return
		}
		l.settings.Kafka[g.name] = g.value
	}
}

// bucketDefault moves the default bucket along with the data directory.
func (l *loader) bucketDefault() {
	if l.where["bucket"] == "" {
		l.settings.Stores.Bucket = bucketIn(l.settings.DataDir)
	}
}

// password reads the Redis password from the environment or from its file.
func (l *loader) password(environ []string) {
	stores := &l.settings.Stores
	stores.RedisPassword = Secret{}
	if v := variable(environ, passwordVariable); v != "" {
		stores.RedisPassword = NewSecret(v)
	}
	if stores.RedisPasswordFile == "" {
		return
	}
	where := l.whereOf("redis-password-file")
	if !stores.RedisPassword.IsZero() {
		l.problem("redis-password-file", where, "the password is also in "+passwordVariable+"; keep one of the two")
		return
	}
	text, err := readSmall(stores.RedisPasswordFile, int64(maxPasswordFile))
	switch secret := strings.TrimRight(string(text), "\r\n"); {
	case err != nil:
		l.problem("redis-password-file", where, err.Error())
	case secret == "":
		l.problem("redis-password-file", where, stores.RedisPasswordFile+" is empty")
	default:
		stores.RedisPassword = NewSecret(secret)
	}
}

// validate checks every setting and what they must be together.
func (l *loader) validate() {
	for _, t := range table {
		if t.check == nil || slices.Contains(l.broken, t.name) {
			continue
		}
		if err := t.check(l.settings); err != nil {
			l.problem(t.name, l.whereOf(t.name), describe(t.show(l.settings), err))
		}
	}
	if len(l.problems) > 0 {
		return
	}
	s := l.settings
	if least := 4 * s.Flush.Size; s.Memory < least {
		l.problem("memory", l.whereOf("memory"), s.Memory.String()+" is too small for flush-size "+
			s.Flush.Size.String()+"; the least is "+least.String())
	}
	if least := 4 * s.Flush.Size; s.WALSize < least {
		l.problem("wal-size", l.whereOf("wal-size"), s.WALSize.String()+" is too small for flush-size "+
			s.Flush.Size.String()+"; the least is "+least.String())
	}
}

// whereOf names who set a setting, for problems found after merging.
func (l *loader) whereOf(name string) string {
	if where := l.where[name]; where != "" {
		return where
	}
	return name
}

// readSmall reads a file that should be small, so that a wrong path (a disk, a log) is no way to fill memory.
func readSmall(path string, limit int64) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, errors.New(path + " is a directory")
	case info.Size() > limit:
		return nil, errors.New(path + " is larger than " + Bytes(limit).String())
	}
	return os.ReadFile(path)
}
