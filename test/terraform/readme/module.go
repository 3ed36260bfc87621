package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Module is what a README tells of a module.
type Module struct {
	Name      string
	About     string // the comment that main.tf begins with
	Variables []Block
	Outputs   []Block
	Resources []string // types, each once
}

// Block is a variable or an output.
type Block struct {
	Name        string
	Description string
	Type        string   // as written; empty for outputs
	Default     string   // as written; empty if there is none
	Refusals    []string // what a value that is refused is answered with
}

// Read reads the .tf files of a directory.
func Read(dir string) (Module, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.tf"))
	if err != nil || len(files) == 0 {
		return Module{}, fmt.Errorf("%s: no .tf files: %v", dir, err)
	}
	m := Module{Name: filepath.Base(dir)}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return m, err
		}
		if filepath.Base(file) == "main.tf" {
			m.About = comment(string(text))
		}
		if err := m.read(string(text)); err != nil {
			return m, fmt.Errorf("%s: %w", file, err)
		}
	}
	slices.Sort(m.Resources)
	m.Resources = slices.Compact(m.Resources)
	if m.About == "" {
		return m, fmt.Errorf("%s: main.tf begins with no comment", dir)
	}
	return m, nil
}

// comment gives the text of the comment that a file begins with.
func comment(text string) string {
	var words []string
	for line := range strings.Lines(text) {
		said, ok := strings.CutPrefix(line, "#")
		if !ok {
			break
		}
		words = append(words, strings.TrimSpace(said))
	}
	return strings.Join(words, " ")
}

// read adds the blocks of a file.
func (m *Module) read(text string) error {
	var head string
	var body []string
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		switch {
		case head == "" && strings.HasSuffix(line, " {") && !strings.HasPrefix(line, " "):
			head, body = strings.TrimSuffix(line, " {"), nil
		case line == "}":
			if err := m.add(head, body); err != nil {
				return fmt.Errorf("%s: %w", head, err)
			}
			head = ""
		case head != "":
			body = append(body, line)
		}
	}
	if head != "" {
		return fmt.Errorf("%s does not end", head)
	}
	return nil
}

func (m *Module) add(head string, body []string) error {
	words := strings.Fields(head)
	switch words[0] {
	case "variable", "output":
		name, err := strconv.Unquote(words[1])
		if err != nil {
			return err
		}
		b := Block{Name: name, Type: attribute(body, "type"), Default: attribute(body, "default"), Refusals: refusals(body)}
		if b.Description, err = strconv.Unquote(attribute(body, "description")); err != nil {
			return fmt.Errorf("description: %w", err)
		}
		if words[0] == "variable" {
			m.Variables = append(m.Variables, b)
		} else {
			m.Outputs = append(m.Outputs, b)
		}
	case "resource":
		kind, err := strconv.Unquote(words[1])
		if err != nil {
			return err
		}
		m.Resources = append(m.Resources, kind)
	}
	return nil
}

// attribute gives the value of an attribute, whose lines go on while braces, brackets or parentheses are open.
func attribute(body []string, name string) string {
	for i, line := range body {
		words := strings.SplitN(strings.TrimPrefix(line, "  "), "=", 2)
		if strings.HasPrefix(line, "   ") || len(words) != 2 || strings.TrimSpace(words[0]) != name {
			continue
		}
		value := strings.TrimSpace(words[1])
		for n := i + 1; open(value) > 0 && n < len(body); n++ {
			value += "\n" + strings.TrimPrefix(body[n], "  ")
		}
		return value
	}
	return ""
}

// open counts what a value opens and does not close, outside its strings.
func open(value string) int {
	n, quoted := 0, false
	for i, c := range value {
		switch {
		case c == '"' && (i == 0 || value[i-1] != '\\'):
			quoted = !quoted
		case quoted:
		case strings.ContainsRune("{[(", c):
			n++
		case strings.ContainsRune("}])", c):
			n--
		}
	}
	return n
}

func refusals(body []string) []string {
	var all []string
	for _, line := range body {
		name, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if ok && strings.TrimSpace(name) == "error_message" {
			text, err := strconv.Unquote(strings.TrimSpace(value))
			if err != nil {
				text = value
			}
			all = append(all, text)
		}
	}
	return all
}

// Markdown is the README.
func (m Module) Markdown() string {
	var s strings.Builder
	fmt.Fprintf(&s, "# Module %s\n\n<!-- Written by `make docs` from the module's variables and outputs. -->\n\n%s\n", m.Name, m.About)
	s.WriteString("\n## Inputs\n\n| Name | Type | Default | |\n| --- | --- | --- | --- |\n")
	for _, v := range m.Variables {
		standard := "required"
		if v.Default != "" {
			standard = code(v.Default)
		}
		fmt.Fprintf(&s, "| `%s` | %s | %s | %s |\n", v.Name, code(v.Type), standard, cell(v.Description))
	}
	s.WriteString("\n## Outputs\n\n| Name | |\n| --- | --- |\n")
	for _, o := range m.Outputs {
		fmt.Fprintf(&s, "| `%s` | %s |\n", o.Name, cell(o.Description))
	}
	s.WriteString("\n## Resources\n\n")
	for i, r := range m.Resources {
		if i > 0 {
			s.WriteString(", ")
		}
		s.WriteString("`" + r + "`")
	}
	s.WriteString("\n")
	return s.String()
}

// code puts a value on one line.
func code(value string) string { return "`" + cell(strings.Join(strings.Fields(value), " ")) + "`" }

func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }
