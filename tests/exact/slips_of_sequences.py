"""Slips of the pen in what reads sequences, and the row that must notice each."""

import torch


def the_forget_gate_lets_in(patch):
    from pendio.nn import recurrent

    original = recurrent.lstm_step

    def step(inputs, hidden, cell, lstm, layer=0):
        gates = original(inputs, hidden, cell, lstm, layer)
        mixed = gates.input * cell + gates.forget * gates.candidate
        return gates._replace(cell=mixed, hidden=gates.output * mixed.tanh())

    patch.setattr(recurrent, "lstm_step", step)


def the_gradient_stops_after_one_step(patch):
    from pendio.nn.recurrent import Recurrent

    original = Recurrent.forward

    def forward(self, values, state=None, present=None):
        features = []
        for step in values.split(1, 1):
            one, state = original(self, step, state)
            state = state.detach()
            features.append(one)
        return torch.cat(features, 1), state

    patch.setattr(Recurrent, "forward", forward)


def a_step_forgets_where_it_came_from(patch):
    from pendio.nn import recurrent

    original = recurrent.rnn_step
    patch.setattr(recurrent, "rnn_step", lambda inputs, hidden, *rest: original(inputs, hidden.detach(), *rest))


def products_are_divided_by_the_width(patch):
    from pendio.nn import attention

    original = attention.Heads.__init__

    def make(self, heads, key_width, score="scaled", dropout=0.0):
        original(self, heads, key_width, score, dropout)
        self.scale = 1 / key_width if score == "scaled" else 1.0

    patch.setattr(attention.Heads, "__init__", make)


def the_first_query_stands_at_the_first_key(patch):
    from pendio.nn import attention

    patch.setattr(
        attention, "causal_mask", lambda queries, keys, device=None: torch.ones(queries, keys).bool().tril()
    )  # fmt: skip


def packed_sequences_see_each_other(patch):
    from pendio.nn import transformer

    patch.setattr(transformer, "packed_mask", lambda documents: torch.ones(1, 1, *[documents.shape[1]] * 2).bool())


def packed_sequences_start_where_the_last_ended(patch):
    from pendio.nn import transformer

    patch.setattr(
        transformer, "_restarted", lambda documents: torch.arange(documents.shape[1]).expand_as(documents)
    )  # fmt: skip


def cosines_have_other_wavelengths(patch):
    from pendio.nn import positions

    original = positions.sinusoidal

    def waves(places, width):
        sines, cosines = original(places, width)[..., 0::2], original(places, 2 * width)[..., 1::2]
        return torch.stack([sines, cosines[..., : width // 2]], -1).flatten(-2)

    patch.setattr(positions, "sinusoidal", waves)


def the_second_coordinate_is_turned_back(patch):
    from pendio.nn.positions import Rotary

    def forward(self, vectors, places):
        sines, cosines = self.sines[places], self.cosines[places]
        first, second = vectors[..., 0::2], vectors[..., 1::2]
        return torch.stack([first * cosines - second * sines, second * cosines - first * sines], -1).flatten(-2)

    patch.setattr(Rotary, "forward", forward)


def a_convolution_is_centred(patch):
    from pendio.nn.temporal import CausalConvolution

    def forward(self, values, before):
        later = self.past // 2
        together = torch.cat([before[:, :, later:], values, values.new_zeros(*values.shape[:2], later)], 2)
        return self.convolution(together), before

    patch.setattr(CausalConvolution, "forward", forward)


def the_decoder_looks_ahead(patch):
    from pendio.nn import attention

    original = attention.attend
    patch.setattr(attention, "attend", lambda *parts, causal=False, **options: original(*parts, **options))


def padding_counts_as_places(patch):
    from pendio.nn.cache import KeyValues

    patch.setattr(
        KeyValues, "places", lambda self, count: torch.arange(self.length, self.length + count)
    )  # fmt: skip


def the_past_of_a_convolution_is_shifted(patch):
    from pendio.nn.temporal import CausalConvolution

    original = CausalConvolution.forward

    def forward(self, values, before):
        out, past = original(self, values, before)
        return out, past.roll(1, 2)

    patch.setattr(CausalConvolution, "forward", forward)


def a_window_sees_a_step_less(patch):
    from pendio.nn.temporal import Window

    original = Window.__init__
    patch.setattr(
        Window, "__init__",
        lambda self, inputs, width, steps=8, *rest: original(self, inputs, width, max(1, steps - 1), *rest),
    )  # fmt: skip


def a_window_sees_a_step_more(patch):
    from pendio.nn.temporal import Window

    original = Window.__init__
    patch.setattr(
        Window, "__init__", lambda self, inputs, width, steps=8, *rest: original(self, inputs, width, steps + 1, *rest)
    )


SABOTAGE = {
    the_forget_gate_lets_in: "lstm",
    the_gradient_stops_after_one_step: "backpropagation-through-time",
    a_step_forgets_where_it_came_from: "tied-over-time",
    products_are_divided_by_the_width: "attention",
    the_first_query_stands_at_the_first_key: "attention",
    packed_sequences_see_each_other: "packed",
    packed_sequences_start_where_the_last_ended: "packed",
    cosines_have_other_wavelengths: "sinusoidal-shift",
    the_second_coordinate_is_turned_back: "rotary",
    a_convolution_is_centred: "causality",
    the_decoder_looks_ahead: "causality",
    padding_counts_as_places: "cache",
    the_past_of_a_convolution_is_shifted: "cache",
    a_window_sees_a_step_less: "entropy-rate",
    a_window_sees_a_step_more: "entropy-rate-short",
}
