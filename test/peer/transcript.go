package main

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sort"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// step is one answer as fields: path -> value.
type step struct {
	label  string
	fields map[string]string
}

func (s step) lines() []string {
	var all []string
	for path, v := range s.fields {
		all = append(all, path+" = "+v)
	}
	sort.Strings(all)
	return all
}

// difference is a field that is not the same; "-" stands for a field that is not there.
type difference struct{ path, peer, odradek string }

func differences(peer, odradek step) []difference {
	var all []difference
	for path, v := range peer.fields {
		if at := missing(path, odradek.fields); at != path {
			all = append(all, difference{at, "there", "-"})
		} else if w, ok := odradek.fields[path]; !ok {
			all = append(all, difference{path, v, "-"})
		} else if v != w {
			all = append(all, difference{path, v, w})
		}
	}
	for path, w := range odradek.fields {
		if at := missing(path, peer.fields); at != path {
			all = append(all, difference{at, "-", "there"})
		} else if _, ok := peer.fields[path]; !ok {
			all = append(all, difference{path, "-", w})
		}
	}
	slices.SortFunc(all, func(a, b difference) int { return strings.Compare(a.path, b.path) })
	return slices.Compact(all)
}

// missing shortens a path to the first element of an array that is not there at all.
func missing(path string, fields map[string]string) string {
	for i := range len(path) {
		if path[i] == ']' && !slices.ContainsFunc(slices.Collect(maps.Keys(fields)), func(f string) bool { return strings.HasPrefix(f, path[:i+1]) }) {
			return path[:i+1]
		}
	}
	return path
}

// skipped are fields that no client decides by, and the texts, which are each broker's own.
var skipped = map[string]bool{"Version": true, "UnknownTags": true, "ThrottleMillis": true, "ErrorMessage": true, "ErrorRecords": true, "Documentation": true}

// masked are fields whose values must differ: what is shown is whether there is one.
var masked = map[string]func(v reflect.Value) string{
	"ClusterID": presence, "MemberID": presence, "LeaderID": presence,
	"Host": presence, "ClientHost": presence, "Port": positive, "SessionID": positive, "ProducerID": positive,
	"LogAppendTime": positive, "FinalizedFeaturesEpoch": positive,
}

func presence(v reflect.Value) string {
	for v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return "null"
		}
		v = v.Elem()
	}
	if v.IsZero() {
		return "empty"
	}
	return "some"
}

func positive(v reflect.Value) string {
	if n := v.Int(); n <= 0 {
		return fmt.Sprint(n)
	}
	return "some"
}

// transcribe makes a step of a response.
func (b *broker) transcribe(label string, resp kmsg.Response) step {
	s := step{label: label, fields: map[string]string{}}
	b.flatten(s.fields, "", "", reflect.ValueOf(resp).Elem())
	return s
}

func (b *broker) flatten(into map[string]string, path, name string, v reflect.Value) {
	if id, ok := v.Interface().([16]byte); ok {
		into[path] = b.idName(id)
		return
	}
	if mask, ok := masked[name]; ok {
		into[path] = mask(v)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			into[path] = "null"
			return
		}
		b.flatten(into, path, name, v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			field := v.Type().Field(i).Name
			if !skipped[field] {
				b.flatten(into, strings.TrimPrefix(path+"."+field, "."), field, v.Field(i))
			}
		}
	case reflect.Slice:
		b.elements(into, path, name, v)
	case reflect.String:
		into[path] = fmt.Sprintf("%q", strings.ReplaceAll(v.String(), b.run, "~"))
	default:
		into[path] = fmt.Sprint(v.Interface())
	}
}

// elements names the elements of an array by what identifies them, so that their order does not matter: no client relies
// on it.
func (b *broker) elements(into map[string]string, path, name string, v reflect.Value) {
	if v.Type().Elem().Kind() == reflect.Uint8 {
		if name == "RecordBatches" {
			b.batches(into, path, v.Bytes())
		} else if v.IsNil() {
			into[path] = "null"
		} else {
			into[path] = fmt.Sprintf("%x", v.Bytes())
		}
		return
	}
	if v.Type().Elem().Kind() != reflect.Struct {
		into[path] = strings.ReplaceAll(fmt.Sprint(v.Interface()), b.run, "~")
		return
	}
	seen := map[string]int{}
	shown := 0
	for i := range v.Len() {
		e := v.Index(i)
		key, mine := b.identity(e)
		if !mine {
			continue
		}
		shown++
		seen[key]++
		at := fmt.Sprintf("%s[%s]", path, key)
		if seen[key] > 1 {
			at = fmt.Sprintf("%s[%s #%d]", path, key, seen[key])
		}
		b.flatten(into, at, "", e)
	}
	into[path+".len"] = fmt.Sprint(shown)
}

// idName shows a topic id as the topic that it was given to.
func (b *broker) idName(id [16]byte) string {
	name, known := b.ids[id]
	switch {
	case known:
		return "id of " + name
	case id == [16]byte{}:
		return "no id"
	}
	return "an id"
}

// identity is what identifies an element among its like. Topics and groups that are not of this run are not shown.
func (b *broker) identity(e reflect.Value) (key string, mine bool) {
	if id := e.FieldByName("TopicID"); id.IsValid() && e.FieldByName("Topic").IsZero() {
		return b.idName(id.Interface().([16]byte)), true
	}
	for _, name := range []string{"Topic", "Group", "ResourceName", "Key", "Name", "Partition", "ApiKey", "NodeID", "InstanceID", "CoordinatorKey"} {
		f := e.FieldByName(name)
		if !f.IsValid() {
			continue
		}
		if f.Kind() == reflect.Pointer {
			if f.IsNil() {
				continue
			}
			f = f.Elem()
		}
		key := fmt.Sprint(f.Interface())
		if strings.HasPrefix(key, b.run) {
			return "~" + strings.TrimPrefix(key, b.run), true
		}
		foreign := (name == "Topic" || name == "Group") && key != "" && (strings.HasPrefix(key, "_") || strings.HasPrefix(key, "p1"))
		return key, !foreign
	}
	return "", true
}
