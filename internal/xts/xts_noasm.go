package xts

func assembly() []implementation {
	return nil
}
