package plan

import (
	"encoding/json"
)

// MarshalJSON writes the plan for machines, with each action's kind beside its
// fields. The form is versioned by the field "version".
func (p *Plan) MarshalJSON() ([]byte, error) {
	type fields Plan // without this method
	actions := make([]json.RawMessage, 0, len(p.Actions))
	for _, a := range p.Actions {
		text, err := marshalAction(a)
		if err != nil {
			return nil, err
		}
		actions = append(actions, text)
	}
	return json.Marshal(struct {
		*fields
		Actions []json.RawMessage `json:"actions"`
	}{(*fields)(p), actions})
}

// marshalAction writes one action with its kind.
func marshalAction(a Action) (json.RawMessage, error) {
	text, err := json.Marshal(a)
	if err != nil {
		return nil, err
	}
	kind, err := json.Marshal(a.Kind())
	if err != nil {
		return nil, err
	}
	// Every action is a JSON object with at least its number.
	return append(append([]byte(`{"kind":`), kind...), append([]byte{','}, text[1:]...)...), nil
}
