package policy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
	_ "time/tzdata" // rules name time zones; what they mean must not hang on what the machine has installed

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/checker"
	celast "cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/ext"
)

const (
	// maxWhen is how long a condition may be, in characters.
	maxWhen = 4096
	// maxCost bounds a condition twice: what it may cost at most by its text, with usualGroups and usualText assumed
	// of everybody, and what an evaluation really costs. A unit is about the reading of one variable.
	maxCost     = 1_000_000
	usualGroups = 100
	usualText   = 100
	mostGroups  = 1000 // as login and directory take them
	mostText    = 4096
	// maxEval is the last resort against an evaluation that never ends.
	maxEval = time.Second
)

// condition is a policy's `when`, ready to be asked.
type condition struct {
	program cel.Program
	// What the answer hangs on, beside the people.
	now, request bool
	// heavy: what it costs hangs on how much is known of people. All others cost little, whoever they are about, and
	// need not be watched.
	heavy bool
}

// CheckWhen tells what is wrong with a condition; each mistake on a line of its own, with the line and column of the
// expression, both from 1.
func CheckWhen(expression string) error {
	_, err := compileCondition(expression)
	return err
}

// conditions is the environment of all conditions.
var conditions = sync.OnceValues(func() (*cel.Env, error) {
	registry, err := types.NewRegistry()
	if err != nil {
		return nil, err
	}
	return cel.NewEnv(
		cel.CustomTypeProvider(objects{registry}),
		cel.Variable("actor", personType),
		cel.Variable("target", personType),
		cel.Variable("request", requestType),
		cel.Variable("now", cel.TimestampType),
		ext.Network(),
		ext.Strings(ext.StringsVersion(4)),
		ext.Sets(),
		cel.EnableMacroCallTracking(),
		cel.ParserExpressionSizeLimit(maxWhen),
		cel.ParserRecursionLimit(64),
		cel.ExtendedValidations(),
		cel.ASTValidators(cel.ValidateComprehensionNestingLimit(2), zones{}),
	)
})

func compileCondition(expression string) (*condition, error) {
	if strings.TrimSpace(expression) == "" {
		return nil, errors.New("it is empty; leave it out, or write such as actor.department == target.department")
	}
	env, err := conditions()
	if err != nil {
		return nil, fmt.Errorf("preparing conditions: %w", err)
	}
	ast, issues := env.Compile(expression)
	if issues.Err() != nil {
		var errs []error
		for _, e := range issues.Errors() {
			errs = append(errs, fmt.Errorf("line %d, column %d: %s", max(1, e.Location.Line()), max(1, e.Location.Column()+1), strings.TrimSuffix(e.Message, " (in container '')")))
		}
		return nil, errors.Join(errs...)
	}
	if !ast.OutputType().IsExactType(cel.BoolType) {
		return nil, fmt.Errorf("line 1, column 1: it comes to %s; it must be true or false", ast.OutputType())
	}
	cost, err := env.EstimateCost(ast, sizes{list: usualGroups, text: usualText})
	if err != nil {
		return nil, fmt.Errorf("estimating what it costs: %w", err)
	}
	most, err := env.EstimateCost(ast, sizes{list: mostGroups, text: mostText})
	switch {
	case err != nil:
		return nil, fmt.Errorf("estimating what it costs: %w", err)
	case cost.Max > maxCost:
		return nil, fmt.Errorf("line 1, column 1: it can take too long: for people with %d groups it costs up to %d, and at most %d is allowed; shorten it, or ask less of lists in lists", usualGroups, cost.Max, maxCost)
	}
	c := new(condition)
	root := celast.NavigateAST(ast.NativeRep())
	for _, ident := range celast.MatchDescendants(root, celast.KindMatcher(celast.IdentKind)) {
		c.now = c.now || ident.AsIdent() == "now"
		c.request = c.request || ident.AsIdent() == "request"
	}
	options := []cel.ProgramOption{cel.EvalOptions(cel.OptOptimize), cel.CustomDecoratorV2(withZone)}
	if c.heavy = most.Max > maxCost; c.heavy {
		options = append(options, cel.CostLimit(maxCost), cel.InterruptCheckFrequency(100))
	}
	if c.program, err = env.Program(ast, options...); err != nil {
		return nil, fmt.Errorf("line 1, column 1: %w", err)
	}
	return c, nil
}

// holds evaluates; an error is neither yes nor no. In is a copy: what is evaluated escapes, and most rules have no
// condition.
func (c *condition) holds(in Input) (bool, error) {
	v, err := c.eval(&facts{&in})
	if err != nil {
		return false, err
	}
	yes, ok := v.Value().(bool)
	if !ok {
		return false, fmt.Errorf("it came to a %T", v.Value())
	}
	return yes, nil
}

func (c *condition) eval(f *facts) (ref.Val, error) {
	if !c.heavy {
		v, _, err := c.program.Eval(f)
		return v, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), maxEval)
	defer cancel()
	v, _, err := c.program.ContextEval(ctx, f)
	return v, err
}

// sizes tells how big things are when what a condition costs is estimated.
type sizes struct{ list, text uint64 }

func (s sizes) EstimateSize(n checker.AstNode) *checker.SizeEstimate {
	switch n.Type().Kind() {
	case types.ListKind, types.MapKind:
		return &checker.SizeEstimate{Max: s.list}
	}
	return &checker.SizeEstimate{Max: s.text}
}

func (sizes) EstimateCallCost(string, string, *checker.AstNode, []checker.AstNode) *checker.CallEstimate {
	return nil
}
