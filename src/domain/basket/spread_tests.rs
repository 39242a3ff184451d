use super::*;

fn item(net: i64) -> Item {
    Item { sku: "x".into(), category: None, serial: None, quantity: 1, amount: Fen(net + 7), merchant_discount: Fen(7) }
}

fn spread_of(nets: &[i64], vouchers: &[(&[usize], i64)]) -> Option<Vec<Vec<i64>>> {
    let items: Vec<Item> = nets.iter().map(|net| item(*net)).collect();
    let vouchers: Vec<(Goods, Fen)> = vouchers.iter().map(|(lines, fen)| (Goods::on(lines), Fen(*fen))).collect();
    let off = spread(&items, &vouchers)?;
    Some(off.into_iter().map(|line| line.into_iter().map(|fen| fen.0).collect()).collect())
}

#[test]
fn a_discount_falls_on_the_goods_of_its_voucher_in_proportion_to_what_they_cost() {
    for (nets, vouchers, off) in [
        // One voucher: thirds are rounded down cumulatively, and the last line takes the rest.
        (&[3_000, 3_000, 3_000][..], &[(&[0, 1, 2][..], 1_000)][..], vec![vec![333], vec![333], vec![334]]),
        (&[6_000, 50_000], &[(&[0], 2_000)], vec![vec![2_000], vec![0]]),
        (&[1, 9_999], &[(&[0, 1], 5_000)], vec![vec![0], vec![5_000]]),
        (&[0, 100], &[(&[0, 1], 100)], vec![vec![0], vec![100]]),
        // The one for little takes first; the other by what is left.
        (&[5_000, 5_000], &[(&[0, 1], 1_800), (&[0], 1_000)], vec![vec![800, 1_000], vec![1_000, 0]]),
        (&[5_000], &[(&[0], 1_000), (&[0], 2_000)], vec![vec![1_000, 2_000]]),
    ] {
        assert_eq!(spread_of(nets, vouchers), Some(off), "{nets:?} {vouchers:?}");
    }
}

#[test]
fn who_has_other_goods_makes_room_for_who_has_none() {
    // Each of the two is for two lines; the second needs both of its own.
    let off = spread_of(&[1_000, 1_000, 1_000], &[(&[0, 1], 1_000), (&[1, 2], 2_000)]);
    assert_eq!(off, Some(vec![vec![1_000, 0], vec![0, 1_000], vec![0, 1_000]]));
    // A chain of three: everybody moves by one.
    let off = spread_of(&[100, 100, 100, 100], &[(&[0, 1], 100), (&[1, 2], 100), (&[2, 3], 200)]);
    assert_eq!(off, Some(vec![vec![100, 0, 0], vec![0, 100, 0], vec![0, 0, 100], vec![0, 0, 100]]));
    assert_eq!(spread_of(&[1_000, 1_000], &[(&[0], 1_001)]), None, "no basket is like that");
}

#[test]
fn wherever_there_is_room_for_all_every_fen_of_every_voucher_finds_its_place() {
    let mut state: u64 = 20_260_724;
    let mut below = |bound: i64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as i64 % bound
    };
    let mut tight = 0;
    for case in 0..3_000 {
        let nets: Vec<i64> = (0..1 + below(6)).map(|_| below(5) * below(900)).collect();
        let mut left = nets.clone();
        // A way to pay that is known to exist: each voucher takes from some goods, and is for some more.
        let vouchers: Vec<(Vec<usize>, i64)> = (0..1 + below(4))
            .map(|_| {
                let own: Vec<usize> = (0..nets.len()).filter(|_| below(3) > 0).collect();
                let taken = own.iter().map(|line| {
                    let part = if below(3) == 0 { left[*line] } else { below(left[*line] + 1) };
                    left[*line] -= part;
                    part
                });
                (own.clone(), taken.sum())
            })
            .collect();
        tight += usize::from(left.iter().all(|fen| *fen == 0));
        let asked: Vec<(&[usize], i64)> = vouchers.iter().map(|(lines, fen)| (&lines[..], *fen)).collect();
        let off = spread_of(&nets, &asked).unwrap_or_else(|| panic!("case {case}: {nets:?} {asked:?}"));
        for (voucher, (own, fen)) in vouchers.iter().enumerate() {
            assert_eq!(off.iter().map(|line| line[voucher]).sum::<i64>(), *fen, "case {case}");
            let foreign = (0..nets.len()).filter(|line| !own.contains(line));
            assert_eq!(foreign.map(|line| off[line][voucher]).sum::<i64>(), 0, "case {case}: not its goods");
        }
        for (line, net) in nets.iter().enumerate() {
            assert!(off[line].iter().sum::<i64>() <= *net && off[line].iter().all(|fen| *fen >= 0), "case {case}");
        }
    }
    assert!(tight > 100, "only {tight} cases had nothing left to pay");
}
