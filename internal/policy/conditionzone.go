package policy

import (
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	celast "cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/interpreter"
)

// zones checks the time zones that are written out in a condition: a wrong one would only fail when it is asked.
type zones struct{}

// Name implements [cel.ASTValidator].
func (zones) Name() string { return "impersonate.zones" }

// Validate implements [cel.ASTValidator].
func (zones) Validate(_ *cel.Env, _ cel.ValidatorConfig, a *celast.AST, issues *cel.Issues) {
	for _, call := range celast.MatchDescendants(celast.NavigateAST(a), celast.KindMatcher(celast.CallKind)) {
		c := call.AsCall()
		if len(c.Args()) != 1 || c.Args()[0].Kind() != celast.LiteralKind {
			continue
		}
		arg := c.Args()[0]
		text, ok := arg.AsLiteral().(types.String)
		if !ok {
			continue
		}
		s := string(text)
		if !c.IsMemberFunction() || !strings.HasPrefix(c.FunctionName(), "get") || strings.Contains(s, ":") {
			continue
		}
		if _, err := time.LoadLocation(s); err != nil || s == "Local" {
			issues.ReportErrorAtID(arg.ID(), "%q is no time zone; write such as Europe/Berlin", s)
		}
	}
}

// withZone keeps the zone of now.getHours("Europe/Berlin"): the library reads it from a file at each evaluation.
func withZone(i interpreter.InterpretableV2) (interpreter.InterpretableV2, error) {
	call, ok := i.(interpreter.InterpretableCall)
	if !ok || !strings.HasPrefix(call.OverloadID(), "timestamp_to_") || !strings.HasSuffix(call.OverloadID(), "_with_tz") {
		return i, nil
	}
	zone, ok := call.Args()[1].(interpreter.InterpretableConst)
	if !ok {
		return i, nil
	}
	name, ok := zone.Value().(types.String)
	if !ok || strings.Contains(string(name), ":") {
		return i, nil
	}
	in, err := time.LoadLocation(string(name))
	if err != nil {
		return i, nil //nolint:nilerr // evaluated as it is, it says so itself
	}
	get, ok := zoned[call.Function()]
	if !ok {
		return i, nil
	}
	return &inZone{InterpretableV2: i, at: call.Args()[0], in: in, get: get}, nil
}

// zoned are the functions of times, as CEL counts: months, days of the month by getDayOfMonth, and days of the year
// from 0, Sunday is 0.
var zoned = map[string]func(time.Time) int{
	"getFullYear":     time.Time.Year,
	"getMonth":        func(t time.Time) int { return int(t.Month()) - 1 },
	"getDayOfYear":    func(t time.Time) int { return t.YearDay() - 1 },
	"getDayOfMonth":   func(t time.Time) int { return t.Day() - 1 },
	"getDate":         time.Time.Day,
	"getDayOfWeek":    func(t time.Time) int { return int(t.Weekday()) },
	"getHours":        time.Time.Hour,
	"getMinutes":      time.Time.Minute,
	"getSeconds":      time.Time.Second,
	"getMilliseconds": func(t time.Time) int { return t.Nanosecond() / int(time.Millisecond) },
}

type inZone struct {
	interpreter.InterpretableV2
	at  interpreter.InterpretableV2
	in  *time.Location
	get func(time.Time) int
}

// Exec implements [interpreter.InterpretableV2].
func (z *inZone) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	v := z.at.Exec(frame)
	if t, ok := v.(types.Timestamp); ok {
		return types.Int(z.get(t.In(z.in)))
	}
	return types.MaybeNoSuchOverloadErr(v)
}
