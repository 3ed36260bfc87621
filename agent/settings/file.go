package settings

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/odradek/odradek/topic"
)

// file lists what the configuration file sets. It is one YAML mapping of settings and of Kafka's names; the key
// set may hold a mapping of the latter.
func (l *loader) file(config given) []given {
	if config.value == "" {
		return nil
	}
	path := config.value
	text, err := readSmall(path, int64(maxConfigFile))
	if err != nil {
		l.problem(configName, config.where, err.Error())
		return nil
	}
	var document yaml.Node
	decoder := yaml.NewDecoder(strings.NewReader(string(text)))
	if err := decoder.Decode(&document); err != nil {
		if !errors.Is(err, io.EOF) {
			l.problem(configName, path, strings.TrimPrefix(err.Error(), "yaml: "))
		}
		return nil
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		l.problem(configName, path, "holds more than one YAML document")
	}
	return l.mapping(path, document.Content[0], false)
}

// mapping reads one mapping of the file: the whole of it, or the one under set.
func (l *loader) mapping(path string, node *yaml.Node, kafka bool) []given {
	where := fmt.Sprintf("%s:%d", path, node.Line)
	if node.Kind != yaml.MappingNode {
		if node.Kind != yaml.ScalarNode || node.Tag != "!!null" {
			l.problem(configName, where, "is no mapping of settings to values")
		}
		return nil
	}
	var all []given
	seen := map[string]int{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		where := fmt.Sprintf("%s:%d", path, key.Line)
		if first, again := seen[key.Value]; again {
			l.problem("", where, fmt.Sprintf("%s is set before, on line %d", key.Value, first))
			continue
		}
		seen[key.Value] = key.Line
		if key.Value == setName && !kafka {
			all = append(all, l.mapping(path, value, true)...)
			continue
		}
		if g, ok := l.key(where, key.Value, value, kafka); ok {
			all = append(all, g)
		}
	}
	return all
}

// key reads one key of the file; where is file and line.
func (l *loader) key(where, name string, value *yaml.Node, kafka bool) (given, bool) {
	_, own := lookup(name)
	_, kafkas := topic.ClusterSettings.Find(name)
	g := given{name: name, value: value.Value, where: where + ": " + name, kafka: kafka || !own && kafkas}
	switch {
	case name == configName && !kafka:
		l.problem(configName, g.where, "a file cannot name another")
	case !own && !g.kafka && name == "redis-password":
		l.problem("", g.where, "secrets are not taken from the file; use "+passwordVariable+" or redis-password-file")
	case !own && !g.kafka:
		l.problem("", g.where, unknown("key", name, append(names(), topic.ClusterSettings.Names()...), same))
	case value.Kind != yaml.ScalarNode:
		l.problem(name, g.where, "want one value")
	case value.Tag == "!!null":
		l.problem(name, g.where, "has no value")
	default:
		return g, true
	}
	return given{}, false
}
