package jobspec

import (
	"errors"
	"fmt"
	"math/big"
	"reflect"
	"strings"
	"time"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/dunlin-edge/dunlin/fleet"
)

// wrongValue is a value that does not fit, and what to write instead.
type wrongValue struct{ msg, hint string }

func (w *wrongValue) Error() string { return w.msg }

func hintOf(err error) string {
	var w *wrongValue
	if errors.As(err, &w) {
		return w.hint
	}
	return ""
}

func mismatch(want string, v cty.Value, hint string) error {
	return &wrongValue{fmt.Sprintf("want %s, got %s", want, describe(v)), hint}
}

// describe says what a value is, for messages: `the number 5`, `a list`.
func describe(v cty.Value) string {
	t := v.Type()
	switch {
	case v.IsNull():
		return "null"
	case t == cty.String:
		return fmt.Sprintf("the text %q", printable(v.AsString()))
	case t == cty.Number:
		return "the number " + v.AsBigFloat().Text('g', 12)
	case t == cty.Bool && v.True():
		return "true"
	case t == cty.Bool:
		return "false"
	case t.IsObjectType() || t.IsMapType():
		return "an object"
	default:
		return "a list"
	}
}

// setValue stores v in a scalar or list field. Numbers and booleans may come as
// text, because variables from the command line do; text takes a number only
// where the field compares values of any kind (loose).
func setValue(dst reflect.Value, v cty.Value, loose bool) error {
	if dst.Kind() == reflect.Pointer {
		p := reflect.New(dst.Type().Elem())
		if err := setValue(p.Elem(), v, loose); err != nil {
			return err
		}
		dst.Set(p)
		return nil
	}
	if dst.Type() == reflect.TypeFor[fleet.Duration]() {
		return setDuration(dst, v)
	}
	switch dst.Kind() {
	case reflect.String:
		if loose {
			s, err := text(v)
			dst.SetString(s)
			return err
		}
		if v.Type() != cty.String {
			hint := ""
			if v.Type().IsPrimitiveType() {
				hint = "write it in quotes"
			}
			return mismatch("text", v, hint)
		}
		dst.SetString(v.AsString())
		return nil
	case reflect.Bool:
		b, err := convert.Convert(v, cty.Bool)
		if err != nil {
			return mismatch("true or false", v, "")
		}
		dst.SetBool(b.True())
		return nil
	case reflect.Int:
		return setInt(dst, v)
	default: // []string: a test sets every tagged field, so there is no other kind
		return setList(dst, v)
	}
}

func setInt(dst reflect.Value, v cty.Value) error {
	n, err := convert.Convert(v, cty.Number)
	if err != nil {
		return mismatch("a whole number", v, "")
	}
	i, accuracy := n.AsBigFloat().Int64()
	if accuracy != big.Exact || dst.OverflowInt(i) {
		return mismatch("a whole number", n, "")
	}
	dst.SetInt(i)
	return nil
}

func setDuration(dst reflect.Value, v cty.Value) error {
	if v.Type() == cty.Number {
		n := v.AsBigFloat().Text('g', 12)
		return mismatch("a duration", v, fmt.Sprintf("write a unit, such as \"%ss\" or \"%sms\"", n, n))
	}
	if v.Type() != cty.String {
		return mismatch("a duration", v, `write for example "30s" or "1h15m"`)
	}
	d, err := time.ParseDuration(v.AsString())
	if err != nil {
		return mismatch("a duration", v, `write for example "30s" or "1h15m"`)
	}
	dst.SetInt(int64(d))
	return nil
}

func setList(dst reflect.Value, v cty.Value) error {
	if !v.CanIterateElements() || v.Type().IsObjectType() || v.Type().IsMapType() {
		return mismatch("a list", v, "write [ … ]")
	}
	out := reflect.MakeSlice(dst.Type(), 0, v.LengthInt())
	for i, e := range elements(v) {
		elem := reflect.New(dst.Type().Elem()).Elem()
		if e.IsNull() {
			return &wrongValue{fmt.Sprintf("element %d is null", i), "leave it out"}
		}
		if err := setValue(elem, e, false); err != nil {
			return &wrongValue{fmt.Sprintf("element %d: %v", i, err), hintOf(err)}
		}
		out = reflect.Append(out, elem)
	}
	dst.Set(out)
	return nil
}

func setMap(dst reflect.Value, v cty.Value) error {
	if !v.Type().IsObjectType() && !v.Type().IsMapType() {
		return mismatch("an object", v, "write { key = \"value\" }")
	}
	out := reflect.MakeMap(dst.Type())
	for k, e := range v.AsValueMap() {
		if e.IsNull() {
			continue
		}
		s, err := text(e)
		if err != nil {
			return &wrongValue{fmt.Sprintf("key %q: %v", k, err), hintOf(err)}
		}
		out.SetMapIndex(reflect.ValueOf(k), reflect.ValueOf(s))
	}
	dst.Set(out)
	return nil
}

// elements returns the elements of a list, set or tuple in order.
func elements(v cty.Value) []cty.Value {
	out := make([]cty.Value, 0, v.LengthInt())
	for it := v.ElementIterator(); it.Next(); {
		_, e := it.Element()
		out = append(out, e)
	}
	return out
}

// text converts a scalar to text, as values of env and meta are.
func text(v cty.Value) (string, error) {
	if v.IsNull() || !v.Type().IsPrimitiveType() {
		return "", mismatch("text", v, "use jsonencode(…) for lists and objects")
	}
	s, err := convert.Convert(v, cty.String)
	if err != nil {
		return "", mismatch("text", v, "")
	}
	return s.AsString(), nil
}

func toJSON(v cty.Value) ([]byte, error) {
	b, err := ctyjson.SimpleJSONValue{Value: v}.MarshalJSON()
	if err != nil {
		return nil, fmt.Errorf("%s cannot be written as JSON: %w", describe(v), err)
	}
	return b, nil
}

// initialisms are words of public field names that are not merely capitalised.
var initialisms = map[string]string{
	"id": "ID", "cpu": "CPU", "mb": "MB", "ttl": "TTL", "dns": "DNS", "tls": "TLS", "http": "HTTP", "url": "URL",
}

// camel turns the name of job files into the one of the public API.
func camel(name string) string {
	var b strings.Builder
	for word := range strings.SplitSeq(name, "_") {
		if up := initialisms[word]; up != "" {
			b.WriteString(up)
		} else if word != "" {
			b.WriteString(strings.ToUpper(word[:1]) + word[1:])
		}
	}
	return b.String()
}
