import mlx.core as mx

import lucid
from lucid import distributed as dist


def test_rank_zero_alone_is_main(as_rank):
    assert dist.is_main()
    as_rank(0, 2)
    assert dist.is_main()
    as_rank(1, 2)
    assert not dist.is_main()


def test_fold_in_rank_gives_every_rank_its_own_key(as_rank):
    key = mx.random.key(3)
    assert dist.fold_in_rank(key) is key  # unchanged for a single process
    found = []
    for rank in range(3):
        as_rank(rank, 3)
        found.append(tuple(dist.fold_in_rank(key).tolist()))
        assert tuple(dist.fold_in_rank(lucid.tensor(key)).tolist()) == found[-1]
    assert len({*found, tuple(key.tolist())}) == 4


def test_fold_in_rank_without_a_key_changes_the_random_state(as_rank):
    drawn = []
    for rank in range(2):
        as_rank(rank, 2)
        lucid.manual_seed(5)
        assert dist.fold_in_rank() is None
        drawn.append(lucid.rand(3).tolist())
    assert drawn[0] != drawn[1]
