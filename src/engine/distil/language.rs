//! Languages: detection, stop words, and folding of inflections.
//!
//! Folding is deliberately light: it strips the endings of plural, case and person in the larger
//! European languages, so that a focus matches a passage. It need not yield dictionary forms, only
//! the same form on both sides.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

/// Languages with rules of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Language {
    English,
    German,
    French,
    Spanish,
    Italian,
    Portuguese,
    Dutch,
    Swedish,
    Russian,
    Polish,
    Other,
}

const ALL: [Language; 10] = [
    Language::English,
    Language::German,
    Language::French,
    Language::Spanish,
    Language::Italian,
    Language::Portuguese,
    Language::Dutch,
    Language::Swedish,
    Language::Russian,
    Language::Polish,
];

/// Words of a text that are read to detect its language.
const SAMPLE: usize = 400;

impl Language {
    /// The language that `declared` (a BCP 47 tag) names, else the one whose stop words are
    /// most frequent in `words`, which are in lower case.
    pub(super) fn of<'a>(declared: Option<&str>, words: impl Iterator<Item = &'a str>) -> Self {
        Self::from_tag(declared.unwrap_or_default()).unwrap_or_else(|| Self::detect(words))
    }

    fn from_tag(tag: &str) -> Option<Self> {
        let primary = tag.split(['-', '_']).next().unwrap_or(tag).to_ascii_lowercase();
        Some(match primary.as_str() {
            "en" => Self::English,
            "de" | "lb" => Self::German,
            "fr" => Self::French,
            "es" | "ca" | "gl" => Self::Spanish,
            "it" => Self::Italian,
            "pt" => Self::Portuguese,
            "nl" | "af" => Self::Dutch,
            "sv" | "da" | "no" | "nb" | "nn" => Self::Swedish,
            "ru" | "uk" | "be" | "bg" => Self::Russian,
            "pl" | "cs" | "sk" => Self::Polish,
            "" | "und" | "mul" => return None,
            _ => Self::Other,
        })
    }

    fn detect<'a>(words: impl Iterator<Item = &'a str>) -> Self {
        let mut counts = [0_u32; ALL.len()];
        for word in words.take(SAMPLE) {
            for (count, language) in counts.iter_mut().zip(ALL) {
                *count += u32::from(language.is_stop_word(word));
            }
        }
        let best = counts.iter().zip(ALL).rev().max_by_key(|(count, _)| **count);
        best.filter(|(count, _)| **count > 0).map_or(Self::Other, |(_, language)| language)
    }

    /// Whether the language writes its nouns with a capital letter.
    pub(super) const fn capitalises_nouns(self) -> bool {
        matches!(self, Self::German)
    }

    /// Whether `word`, in lower case, says nothing about a subject.
    pub(super) fn is_stop_word(self, word: &str) -> bool {
        static SETS: LazyLock<HashMap<Language, HashSet<&'static str>>> = LazyLock::new(|| {
            ALL.iter().map(|known| (*known, known.stop_words().split(' ').collect())).collect()
        });
        SETS.get(&self).is_some_and(|words| words.contains(word))
    }

    #[expect(clippy::too_many_lines, reason = "a table")]
    const fn stop_words(self) -> &'static str {
        match self {
            Self::English => {
                "a about after all also am an and any are as at be because been before being \
                 between both but by can could did do does doing don each for from had has have \
                 having he her here his how i if in into is it its itself just let like many may \
                 me might more most much must my no nor not of off on once one only or other our \
                 out over own s same shall she should so some such t than that the their them \
                 then there these they this those through to too under until up us very was we \
                 were what when where which while who whom whose why will with within without \
                 would you your tell find show information know want need any anything every"
            }
            Self::German => {
                "aber alle allem allen aller alles als also am an auch auf aus bei beim bin bis \
                 bist da damit dann das dass dein dem den der des dessen die dies diese diesem \
                 diesen dieser dieses doch dort du durch ein eine einem einen einer eines er es \
                 etwas euch für gegen hab habe haben hat hatte hatten hier hinter ich ihm ihn \
                 ihnen ihr ihre ihrem ihren ihrer im in ins ist ja jede jeder jedes kann kein \
                 keine können könnte man mehr mein mit muss nach nicht nichts noch nun nur ob \
                 oder ohne sehr sein seine seinem seinen seiner sich sie sind so soll sollte \
                 sondern über um und uns unser unter vom von vor wann war waren warum was weil \
                 welche welcher welches wenn wer werde werden wie wieder will wir wird wo worden \
                 wurde wurden zu zum zur zwischen"
            }
            Self::French => {
                "à au aucun aussi autre aux avec car ce ceci cela celle celui ces cet cette ceux \
                 chaque comme comment d dans de des donc dont du elle elles en encore entre est \
                 et été étaient était être eu fait font il ils j je l la le les leur leurs lui m \
                 ma mais me même mes moi mon n ne ni non nos notre nous on ont ou où par pas peut \
                 plus pour pourquoi qu quand que quel quelle quelles quels qui quoi s sa sans se \
                 ses si son sont sous sur ta te tes toi ton tous tout toute toutes très tu un une \
                 vos votre vous y"
            }
            Self::Spanish => {
                "a al algo ante como con contra cual cuál cuando cuándo de del desde donde dónde \
                 durante e el ella ellas ellos en entre era eran es esa ese eso esta está están \
                 estar este esto estos fue fueron ha hacia han hasta hay la las le les lo los más \
                 me mi muy nada ni no nos o otra otro para pero por porque qué que quien quién se \
                 ser si sí sin sobre son su sus también tan tiene tienen todo todos tu un una \
                 unas uno unos y ya yo"
            }
            Self::Italian => {
                "a ad agli ai al alla alle allo anche c che chi ci come con cosa cui d da dagli \
                 dai dal dalla dalle dallo degli dei del della delle dello di dove e è ed era \
                 erano essere fra gli ha hanno i il in io l la le lei lo loro lui ma me mi molto \
                 ne negli nei nel nella nelle nello noi non o ogni per perché più può quale quali \
                 quando quanto quella quelle quello questa queste questi questo se senza si sia \
                 sono su sua sue sugli sui sul sulla sulle sullo suo suoi tra tutti tutto un una \
                 uno vi voi"
            }
            Self::Portuguese => {
                "a à ao aos as às até com como da das de dela dele do dos e é ela elas ele eles \
                 em entre era essa esse esta está este eu foi foram há isso isto já mais mas me \
                 mesmo meu muito na não nas nem no nos nós o onde os ou para pela pelas pelo \
                 pelos por porque qual quais quando que quem são se sem ser seu seus só sobre sua \
                 suas também te tem têm um uma umas uns você"
            }
            Self::Dutch => {
                "aan al alle als bij dan dat de deze die dit doen door dus een en er ge geen haar \
                 had heb hebben heeft het hij hoe hun iets ik in is ja je kan kunnen maar me meer \
                 men met mij mijn moet na naar niet niets nog nu of om omdat onder ons onze ook \
                 op over te tegen toch toen tot u uit uw van veel voor waar waarom wanneer want \
                 waren was wat we wel welke werd wie wij wil worden wordt zal ze zich zij zijn zo \
                 zonder zou"
            }
            Self::Swedish => {
                "all alla allt att av blev bli blir de dem den denna deras dess det detta dig din \
                 du där då efter ej eller en er ett från för ha hade han har hon hur här i icke \
                 ikke inte jag kan man med men mig min mot mycket nej nu när och og också om på \
                 sig sin sina ska skulle som så till til under upp ut utan vad var vara vem vi \
                 vid vilka vilken är över af at der er hvad hvor ikke jeg kunne mellem paa som \
                 være"
            }
            Self::Russian => {
                "а без более бы был была были было быть в вам вас весь во вот все всё всего всех \
                 вы где да даже для до его её ее если есть ещё еще же за и из или им их к как \
                 какая какие какой ко когда который которая которые кто ли между меня мне может \
                 мы на над наш не него неё нет ни них но ну о об однако он она они оно от очень \
                 по под после почему при про с сам свой себя сейчас со так также там тем то того \
                 тоже той только том ты у уже чего чем через что чтобы эта эти это этого этой \
                 этот я та те був бути є й що як та від із"
            }
            Self::Polish => {
                "a aby ale bardzo bez bo by być był była było były ci co czy dla do gdy gdzie go \
                 i ich ile im inne ja jak jaka jaki jakie je jego jej jest jeśli już każdy kiedy \
                 która które który kto ku lub ma mają mi między mnie może my na nad nie niej nim \
                 nich o od ona one oni ono oraz po pod podczas przed przez przy są się swoje ta \
                 tak także tam te tego tej ten też to tu ty tylko tym u w we wiele więc wszystko \
                 z za ze że"
            }
            Self::Other => "",
        }
    }

    /// Endings, longest first, that inflection adds.
    const fn endings(self) -> &'static [&'static str] {
        match self {
            Self::German => &["ern", "em", "en", "er", "es", "e", "n", "s"],
            Self::French => &["eaux", "aux", "ees", "es", "ee", "er", "ez", "e", "s", "x"],
            Self::Spanish | Self::Portuguese => {
                &["coes", "cao", "oes", "os", "as", "es", "ao", "a", "o", "e", "s"]
            }
            Self::Italian => &["he", "hi", "a", "e", "i", "o"],
            Self::Dutch => &["eren", "en", "es", "e", "s", "t"],
            Self::Swedish => &[
                "arna", "erna", "orna", "ande", "aren", "ade", "are", "ar", "er", "or", "en", "et",
                "na", "a", "e", "s", "t",
            ],
            Self::Russian => &[
                "иями", "ями", "ами", "ого", "его", "ому", "ему", "ыми", "ими", "иях", "ием",
                "ией", "иям", "ость", "ости", "ах", "ях", "ов", "ев", "ои", "еи", "ая", "яя", "ое",
                "ее", "ыи", "ии", "ые", "ие", "ия", "ию", "ом", "ем", "ам", "ям", "ую", "юю", "ью",
                "ть", "а", "я", "о", "е", "ы", "и", "у", "ю", "ь", "і", "ї",
            ],
            Self::Polish => &[
                "iami", "ami", "ach", "owi", "ego", "emu", "ymi", "imi", "ow", "om", "em", "ej",
                "ym", "im", "ie", "ia", "a", "e", "i", "o", "u", "y",
            ],
            Self::English | Self::Other => &[],
        }
    }

    /// The form under which `word` is compared. `word` is in lower case, its accents are folded.
    pub(super) fn stem(self, word: &str) -> String {
        /// Letters that must be left of a word.
        const MIN_STEM: usize = 3;
        let script_fits = match word.chars().next() {
            Some(first) if first.is_ascii_alphabetic() => self != Self::Russian,
            Some('\u{400}'..='\u{52f}') => self == Self::Russian,
            _ => false,
        };
        if !script_fits {
            // A Latin word in a Russian text is most often English, and so on.
            return match word.chars().next() {
                Some(first) if first.is_ascii_alphabetic() => stem_english(word),
                Some('\u{400}'..='\u{52f}') => Self::Russian.stem(word),
                _ => word.to_owned(),
            };
        }
        if matches!(self, Self::English | Self::Other) {
            return stem_english(word);
        }
        let stem = self.endings().iter().find_map(|ending| {
            // Too many short words end in `s` by themselves.
            let least = MIN_STEM + usize::from(*ending == "s");
            word.strip_suffix(ending).filter(|stem| stem.chars().count() >= least)
        });
        stem.unwrap_or(word).to_owned()
    }
}

/// Plural, past, progressive and the silent `e`.
fn stem_english(word: &str) -> String {
    if word.len() < 4 || !word.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return word.to_owned();
    }
    let mut stem = word.to_owned();
    if let Some(base) = stem.strip_suffix("ies").filter(|base| base.len() > 1) {
        stem = format!("{base}y");
    } else if stem.ends_with('s') && !["ss", "us", "is"].iter().any(|end| stem.ends_with(end)) {
        stem.pop();
    }
    for ending in ["ing", "ed"] {
        let Some(base) = stem.strip_suffix(ending) else { continue };
        let has_vowel = base.bytes().any(|byte| b"aeiouy".contains(&byte));
        if base.len() >= 3 && has_vowel {
            let doubled = base
                .as_bytes()
                .last_chunk::<2>()
                .is_some_and(|[a, b]| a == b && !b"aeiouls".contains(b));
            let kept = if doubled { base.len() - 1 } else { base.len() };
            stem.truncate(kept);
        }
        break;
    }
    if stem.len() > 3 && stem.ends_with('e') {
        stem.pop();
    }
    if stem.len() > 3 && stem.ends_with('y') {
        stem.pop();
        stem.push('i');
    }
    stem
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inflections_meet() {
        for (language, forms) in [
            (Language::English, &["borrow", "borrows", "borrowed", "borrowing"][..]),
            (Language::English, &["compile", "compiles", "compiled", "compiling"]),
            (Language::English, &["query", "queries", "queried"]),
            (Language::English, &["run", "running"]),
            (Language::German, &["haus", "hauser", "hausern"]),
            (Language::German, &["windkraftanlage", "windkraftanlagen"]),
            (Language::French, &["journal", "journal"]),
            (Language::French, &["voiture", "voitures"]),
            (Language::Spanish, &["libro", "libros"]),
            (Language::Russian, &["поезд", "поезда", "поездов", "поездами"]),
            (Language::Russian, &["владение", "владения", "владению"]),
        ] {
            let stems: std::collections::BTreeSet<_> =
                forms.iter().map(|form| language.stem(form)).collect();
            assert_eq!(stems.len(), 1, "{forms:?} -> {stems:?}");
        }
        assert_ne!(Language::English.stem("owner"), Language::English.stem("own"));
    }

    #[test]
    fn languages_are_told_by_their_small_words() {
        let of = |text: &str| Language::of(None, text.split(' '));
        assert_eq!(of("the house that stands on the hill"), Language::English);
        assert_eq!(of("das haus steht auf dem hügel und ist alt"), Language::German);
        assert_eq!(of("la maison est sur une colline"), Language::French);
        assert_eq!(of("дом стоит на холме и не был продан"), Language::Russian);
        assert_eq!(of("xyzzy"), Language::Other);
        assert_eq!(Language::of(Some("de-AT"), ["the"].into_iter()), Language::German);
        assert_eq!(Language::of(Some(""), ["the"].into_iter()), Language::English);
    }
}
