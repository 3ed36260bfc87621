package topic

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// ValueType is the type of a setting's value, as Kafka's ConfigDef knows them.
type ValueType uint8

// The types there are.
const (
	Boolean ValueType = iota + 1
	Int               // 32 bits
	Long              // 64 bits
	Double
	String
	List // strings with commas between them
)

func (t ValueType) String() string {
	names := [...]string{Boolean: "BOOLEAN", Int: "INT", Long: "LONG", Double: "DOUBLE", String: "STRING", List: "LIST"}
	if int(t) >= len(names) || names[t] == "" {
		return fmt.Sprintf("TYPE_%d", uint8(t))
	}
	return names[t]
}

// Setting is one Kafka-named setting, of a topic or of the cluster.
type Setting struct {
	Name     string
	Type     ValueType
	Default  string
	Doc      string // one or two sentences for people
	Inert    bool   // stored, checked and echoed, without any effect here; Doc says why
	ReadOnly bool   // shown only, nobody can set it

	Min, Max int64     // of Int and Long, both within; of Double too
	Allowed  []string  // of String and List, nil means anything
	Synonyms []Synonym // of a topic's setting: the cluster's settings that give its default, the strongest first
}

// Synonym is a cluster setting that gives the default of a topic setting, in the same unit or in a greater one.
type Synonym struct {
	Name   string
	Factor int64 // what one unit of it is in the unit of the topic's setting
}

// Validate tells why a value cannot be set. It does not name the setting.
func (s Setting) Validate(value string) error {
	switch s.Type {
	case Boolean:
		if v := strings.ToLower(strings.TrimSpace(value)); v != "true" && v != "false" {
			return fmt.Errorf("%q is neither true nor false", value)
		}
	case Int, Long:
		return s.validateNumber(value)
	case Double:
		v, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		if err != nil || !(v >= float64(s.Min) && v <= float64(s.Max)) {
			return fmt.Errorf("%q is not a number in [%d, %d]", value, s.Min, s.Max)
		}
	case String:
		if s.Allowed != nil && !slices.Contains(s.Allowed, value) {
			return fmt.Errorf("%q is none of %s", value, strings.Join(s.Allowed, ", "))
		}
	case List:
		return s.validateList(value)
	}
	return nil
}

func (s Setting) validateNumber(value string) error {
	bits := 64
	if s.Type == Int {
		bits = 32
	}
	v, err := strconv.ParseInt(strings.TrimSpace(value), 10, bits)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return fmt.Errorf("%q does not fit into %d bits", value, bits)
	case err != nil:
		return fmt.Errorf("%q is not a whole number", value)
	case v < s.Min:
		return fmt.Errorf("%d is below %d", v, s.Min)
	case v > s.Max:
		return fmt.Errorf("%d is above %d", v, s.Max)
	}
	return nil
}

func (s Setting) validateList(value string) error {
	seen := map[string]bool{}
	for _, item := range SplitList(value) {
		if s.Allowed != nil && !slices.Contains(s.Allowed, item) {
			return fmt.Errorf("%q is none of %s", item, strings.Join(s.Allowed, ", "))
		}
		if seen[item] {
			return fmt.Errorf("%q is there twice", item)
		}
		seen[item] = true
	}
	return nil
}

// SplitList cuts a List value at its commas; an empty value has no items.
func SplitList(value string) []string {
	if strings.TrimSpace(value) == "" {
		return nil
	}
	items := strings.Split(value, ",")
	for i := range items {
		items[i] = strings.TrimSpace(items[i])
	}
	return items
}

// Table is a set of settings by name, in alphabetical order. It never changes.
type Table struct {
	list   []Setting
	byName map[string]int
}

func newTable(settings ...Setting) Table {
	t := Table{list: settings, byName: make(map[string]int, len(settings))}
	slices.SortFunc(t.list, func(a, b Setting) int { return strings.Compare(a.Name, b.Name) })
	for i, s := range t.list {
		t.byName[s.Name] = i
	}
	return t
}

// All lists the settings by name. The slice is a copy.
func (t Table) All() []Setting { return slices.Clone(t.list) }

// Find finds a setting by its exact name.
func (t Table) Find(name string) (Setting, bool) {
	i, ok := t.byName[name]
	if !ok {
		return Setting{}, false
	}
	return t.list[i], true
}

// Names lists the names in order.
func (t Table) Names() []string {
	names := make([]string, len(t.list))
	for i, s := range t.list {
		names[i] = s.Name
	}
	return names
}

// Check tells why one setting cannot have that value; the error names the setting, and for an unknown one the
// nearest that there is.
func (t Table) Check(name, value string) error {
	s, ok := t.Find(name)
	if !ok {
		return UnknownName("setting", name, t.Names())
	}
	if s.ReadOnly {
		return fmt.Errorf("%s cannot be set", name)
	}
	if err := s.Validate(value); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func boolean(name string, value bool, doc string) Setting {
	return Setting{Name: name, Type: Boolean, Default: strconv.FormatBool(value), Doc: doc}
}

func integer(name string, value, low int64, doc string) Setting {
	return Setting{Name: name, Type: Int, Default: strconv.FormatInt(value, 10), Min: low, Max: math.MaxInt32, Doc: doc}
}

func long(name string, value, low int64, doc string) Setting {
	return Setting{Name: name, Type: Long, Default: strconv.FormatInt(value, 10), Min: low, Max: math.MaxInt64, Doc: doc}
}

func text(name, value, doc string, allowed ...string) Setting {
	return Setting{Name: name, Type: String, Default: value, Allowed: allowed, Doc: doc}
}

func list(name, value, doc string, allowed ...string) Setting {
	return Setting{Name: name, Type: List, Default: value, Allowed: allowed, Doc: doc}
}

// without marks a setting as inert and says why in its documentation.
func (s Setting) without(why string) Setting {
	s.Inert = true
	s.Doc += " Stored and echoed, without effect here: " + why
	return s
}

// max gives the setting another upper bound.
func (s Setting) max(high int64) Setting { s.Max = high; return s }

// from names the cluster's setting that gives the default, in the same unit.
func (s Setting) from(names ...string) Setting {
	for _, name := range names {
		s.Synonyms = append(s.Synonyms, Synonym{name, 1})
	}
	return s
}

// fromUnit names a cluster's setting in a greater unit.
func (s Setting) fromUnit(name string, factor int64) Setting {
	s.Synonyms = append(s.Synonyms, Synonym{name, factor})
	return s
}
