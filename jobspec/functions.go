package jobspec

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"unicode/utf8"

	"encoding/base64"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

// functions are what job files may call: those of the field that are pure and
// whose result is bounded by their arguments (cost.go knows the exceptions).
func functions(readFile func(string) ([]byte, error)) map[string]function.Function {
	return map[string]function.Function{
		"abs": stdlib.AbsoluteFunc, "ceil": stdlib.CeilFunc, "floor": stdlib.FloorFunc,
		"max": stdlib.MaxFunc, "min": stdlib.MinFunc, "parseint": stdlib.ParseIntFunc,
		"upper": stdlib.UpperFunc, "lower": stdlib.LowerFunc, "title": stdlib.TitleFunc,
		"trim": stdlib.TrimFunc, "trimprefix": stdlib.TrimPrefixFunc, "trimsuffix": stdlib.TrimSuffixFunc,
		"trimspace": stdlib.TrimSpaceFunc, "chomp": stdlib.ChompFunc, "substr": stdlib.SubstrFunc,
		"split": stdlib.SplitFunc, "join": stdlib.JoinFunc, "replace": stdlib.ReplaceFunc,
		"format": narrow(stdlib.FormatFunc), "regex": stdlib.RegexFunc,
		"length": stdlib.LengthFunc, "concat": stdlib.ConcatFunc, "contains": stdlib.ContainsFunc,
		"distinct": stdlib.DistinctFunc, "element": stdlib.ElementFunc, "flatten": stdlib.FlattenFunc,
		"keys": stdlib.KeysFunc, "values": stdlib.ValuesFunc, "lookup": stdlib.LookupFunc,
		"merge": stdlib.MergeFunc, "reverse": stdlib.ReverseListFunc, "slice": stdlib.SliceFunc,
		"sort": stdlib.SortFunc, "zipmap": stdlib.ZipmapFunc, "compact": stdlib.CompactFunc,
		"coalesce": stdlib.CoalesceFunc, "jsonencode": stdlib.JSONEncodeFunc,
		"tostring": to(cty.String), "tonumber": to(cty.Number), "tobool": to(cty.Bool),
		"base64encode": onText(func(s string) (string, error) { return base64.StdEncoding.EncodeToString([]byte(s)), nil }),
		"base64decode": onText(decodeBase64),
		"urlencode":    onText(func(s string) (string, error) { return url.QueryEscape(s), nil }),
		"file":         onText(fileReader(readFile)),
	}
}

// onText makes a function from text to text.
func onText(f func(string) (string, error)) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "text", Type: cty.String}},
		Type:   function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			s, err := f(args[0].AsString())
			if err != nil {
				return cty.NilVal, function.NewArgError(0, err)
			}
			return cty.StringVal(s), nil
		},
	})
}

func decodeBase64(s string) (string, error) {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return "", fmt.Errorf("not base64: %w", err)
	}
	if !utf8.Valid(b) {
		return "", errors.New("the decoded bytes are not UTF-8 text")
	}
	return string(b), nil
}

func fileReader(read func(string) ([]byte, error)) func(string) (string, error) {
	return func(name string) (string, error) {
		if read == nil {
			return "", errors.New("files cannot be read here; parse the job file where they are, or write the text out")
		}
		b, err := read(name)
		if err != nil {
			return "", err
		}
		if len(b) > FileBytesMax {
			return "", fmt.Errorf("%s has %d bytes; at most %d", name, len(b), FileBytesMax)
		}
		if !utf8.Valid(b) {
			return "", fmt.Errorf("%s is not UTF-8 text", name)
		}
		return string(b), nil
	}
}

// to makes a conversion function.
func to(t cty.Type) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "value", Type: cty.DynamicPseudoType, AllowNull: true}},
		Type:   function.StaticReturnType(t),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			return convert.Convert(args[0], t)
		},
	})
}

// wideVerb matches verbs such as %9999999d, which make text out of nothing.
var wideVerb = regexp.MustCompile(`%[^a-zA-Z%]*[0-9]{4}`)

// narrow refuses format strings whose width or precision exceeds 999.
func narrow(f function.Function) function.Function {
	return function.New(&function.Spec{
		Params:   f.Params(),
		VarParam: f.VarParam(),
		Type: func(args []cty.Value) (cty.Type, error) {
			return f.ReturnTypeForValues(args)
		},
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			if wideVerb.MatchString(args[0].AsString()) {
				return cty.NilVal, function.NewArgErrorf(0, "a width or precision of more than three digits")
			}
			return f.Call(args)
		},
	})
}
