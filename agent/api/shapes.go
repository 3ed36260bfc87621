package api

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// shapes writes down every request of the implemented keys, field by field in wire order, as Kafka's message
// definitions do. A field is a width in bytes (1 2 4 8 16), s (string), n (nullable string), b (nullable bytes),
// [ ... ] (array of structs), 4[] or s[] (array of plain values) or ?( ... ) (optional struct); 3+ or 0-12 before a
// colon are its versions. Tagged fields end every struct of a flexible version and are not written down. A test walks
// what kmsg encodes for each version of each key.
var shapes = map[int16]string{
	0:  "3+:n 2 4 [ 0-12:s 13+:16 [ 4 b ] ]",
	1:  "0-14:4 4 4 3+:4 4+:1 7+:4 7+:4 [ 0-12:s 13+:16 [ 4 9+:4 8 12+:4 5+:8 4 ] ] 7+:[ 7-12:s 13+:16 4[] ] 11+:s",
	2:  "4 2+:1 [ s [ 4 4+:4 8 0-0:4 ] ] 10+:4",
	3:  "[ 10+:16 0-9:s 10+:n ] 4+:1 8-10:1 8+:1",
	8:  "s 1+:4 1+:s 7+:n 2-4:8 [ 0-9:s 10+:16 [ 4 8 1-1:8 6+:4 n ] ]",
	9:  "0-7:s 0-7:[ s 4[] ] 8+:[ s 9+:n 9+:4 [ 8-9:s 10+:16 4[] ] ] 7+:1",
	10: "0-3:s 1+:1 4+:s[]",
	11: "s 4 1+:4 s 5+:n s [ s b ] 8+:n",
	12: "s 4 s 3+:n",
	13: "s 0-2:s 3+:[ s n 5+:n ]",
	14: "s 4 s 3+:n 5+:n 5+:n [ s b ]",
	15: "s[] 3+:1",
	16: "4+:s[] 5+:s[]",
	18: "3+:s 3+:s 5+:n 5+:4",
	19: "[ s 4 2 [ 4 4[] ] [ s n ] ] 4 1+:1",
	20: "0-5:s[] 6+:[ n 16 ] 4",
	21: "[ s [ 4 8 ] ] 4",
	22: "n 4 3+:8 3+:2",
	23: "3+:4 [ s [ 4 2+:4 4 ] ]",
	32: "[ 1 s s[] ] 1+:1 3+:1",
	33: "[ 1 s [ s n ] ] 1",
	35: "[ s 4[] ]",
	37: "[ s 4 [ 4[] ] ] 4 1",
	42: "s[]",
	44: "[ 1 s [ s 1 n ] ] 1",
	45: "4 1+:1 [ s [ 4 4[] ] ]",
	46: "4 [ s 4[] ]",
	47: "s [ s [ 4 ] ]",
	60: "1 1+:1 2+:1",
	61: "[ s 4[] ]",
	75: "[ s ] 4 ?( s 4 )",
}

// shapeOf is the parsed shape of a key. A key without one is a broken build, found by any test.
func shapeOf(key int16) []field {
	s, ok := shapes[key]
	if !ok {
		panic(fmt.Sprintf("api key %d has no shape", key))
	}
	fields, rest := parseShape(strings.Fields(s))
	if len(rest) != 0 {
		panic(fmt.Sprintf("shape of api key %d: %q is left", key, rest))
	}
	return fields
}

// parseShape reads fields up to the end or a closing bracket, and returns the words behind it.
func parseShape(words []string) ([]field, []string) {
	var fields []field
	for len(words) > 0 {
		word := words[0]
		words = words[1:]
		if word == "]" || word == ")" {
			return fields, words
		}
		f := field{to: math.MaxInt16}
		if versions, rest, ok := strings.Cut(word, ":"); ok {
			f.from, f.to = parseVersions(versions)
			word = rest
		}
		switch word {
		case "s":
			f.kind = text
		case "n":
			f.kind = nullText
		case "b":
			f.kind = blob
		case "s[]":
			f.kind = textArray
		case "[":
			f.kind = structs
			f.fields, words = parseShape(words)
		case "?(":
			f.kind = optionalStruct
			f.fields, words = parseShape(words)
		default:
			if plain, ok := strings.CutSuffix(word, "[]"); ok {
				f.kind, word = fixedArray, plain
			}
			f.size = mustInt(word)
		}
		fields = append(fields, f)
	}
	return fields, nil
}

// parseVersions reads "3+" and "0-12".
func parseVersions(s string) (from, to int16) {
	if low, ok := strings.CutSuffix(s, "+"); ok {
		return int16(mustInt(low)), math.MaxInt16
	}
	low, high, _ := strings.Cut(s, "-")
	return int16(mustInt(low)), int16(mustInt(high))
}

func mustInt(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		panic(fmt.Sprintf("shape: %v", err))
	}
	return n
}
